"""What the Hub means when it does not serve: its status, ``X-Error-Code`` and ``Retry-After`` as an outcome of the job.

The Hub does not tell a stranger that a private repository exists, so "not found" and "not for you" share one answer, and
one message here.  Status 401 alone says nothing about the repository: a wrong token gets it everywhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from job.errors import DataError, DeniedError, JobError, SettingsError, UnavailableError
from job.storage.retry import Failure

PASSING_STATUS = frozenset({408, 412, 425, 429, 500, 502, 503, 504, 520, 522, 524})
"""Answers that may be others the next time; 412 comes from a branch that moved on between a look at it and a commit to it."""

ASK_FOR_ACCESS = (
    "Give a Hub token that has access in JOB_MODEL__HUB_TOKEN_FILE or HF_TOKEN; for a gated repository, ask for access."
)

_BY_CODE: dict[str, tuple[type[JobError], str, str]] = {
    "GatedRepo": (DeniedError, "The repository in {variable} is gated, and access was not granted.", ASK_FOR_ACCESS),
    "RepoNotFound": (
        SettingsError,
        "{variable} names a repository that does not exist on the Hub, or the token may not see it.",
        f"Check the spelling. {ASK_FOR_ACCESS}",
    ),
    "RevisionNotFound": (
        SettingsError,
        "The repository in {variable} has no such branch, tag or commit.",
        "Correct the part after @ in {variable}, or JOB_MODEL__REVISION for the model.",
    ),
    "EntryNotFound": (DataError, "The repository in {variable} lists a file that it does not hold.", "Choose another revision."),
}
_BY_STATUS: dict[int, tuple[type[JobError], str, str]] = {
    401: (DeniedError, "The Hub does not accept the token used for {variable}.", ASK_FOR_ACCESS),
    403: (DeniedError, "The Hub forbids the request for {variable}.", ASK_FOR_ACCESS),
    404: (SettingsError, "The server in HF_ENDPOINT does not answer as a Hub does (404).", "Correct HF_ENDPOINT, or unset it."),
}
_OTHER = (DeniedError, "The Hub refused a request for {variable} ({status}).", "Look at the repository's page on the Hub.")


def refusal(status: int, code: str | None, variable: str) -> JobError:
    """The outcome for an answer of the Hub that will be the same the next time.

    Args:
        status: the HTTP status, 400 or above.
        code: the ``X-Error-Code`` header, None when there is none.
        variable: the setting that named the repository.
    """
    kind, message, hint = _BY_CODE.get(code or "") or _BY_STATUS.get(status) or _OTHER
    return kind(message.format(variable=variable, status=status), hint.format(variable=variable))


def passing(what: str, reason: str, retry_after: str | None = None) -> Failure:
    """A failure that may be gone the next time.

    Args:
        what: the call, as the beginning of a sentence: "Reading the file list".
        reason: what the server or the network did, in a few words.
        retry_after: the ``Retry-After`` header, a number of seconds or a date.
    """
    wait_s = _seconds_to_wait(retry_after)
    asked = f" and asked to wait {wait_s:.0f} s" if wait_s else ""
    error = UnavailableError(
        f"{what} failed: {reason}{asked}.",
        "Start the job again later, or raise JOB_LIMITS__STORE_TIMEOUT_S, which bounds how long it keeps trying.",
    )
    return Failure(error, transient=True, retry_after_s=wait_s)


def _seconds_to_wait(retry_after: str | None) -> float:
    if retry_after is None:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
