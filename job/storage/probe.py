"""Whether a store keeps the promises that a run stands on, tried before any work is put into it.

The store is the one part of a run that nobody here has tested.  What it lacks must be known before the GPUs are busy, by name.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Barrier
from typing import Protocol, runtime_checkable

from job.errors import CrashError, DeniedError, SettingsError
from job.storage.base import Store, abort_uploads
from job.storage.findings import Finding, attempt

logger = logging.getLogger(__name__)
PROBE_PREFIX = "probe-"
_CALLERS, _ROUNDS = 8, 6


@runtime_checkable
class Examined(Protocol):
    """A store with abilities beyond the protocol, which it tries itself."""

    def examine(self, prefix: str) -> Iterator[Finding]:
        """Findings about them; objects written lie below ``prefix``."""
        ...


@dataclass(frozen=True)
class ProbeResult:
    """All findings about the store at ``uri``."""

    uri: str
    findings: tuple[Finding, ...]

    @property
    def missing(self) -> tuple[Finding, ...]:
        """The capabilities the store has not, required or not."""
        return tuple(finding for finding in self.findings if not finding.ok)

    def require(self, *, fenced: bool = True) -> None:
        """Check that a run can stand on this store.

        Args:
            fenced: whether protection from a second attempt at once is required (``JOB_OUTPUT__FENCE``).

        Raises:
            DeniedError: naming what is missing for lack of permission.
            SettingsError: naming what else is missing.
        """
        lacking = [finding for finding in self.missing if finding.required and (fenced or not finding.is_fence)]
        if not lacking:
            return
        named = "; ".join(f"{finding.capability}: {finding.detail}" for finding in lacking)
        message = f"The store at {self.uri} cannot hold this run. {named}"
        if any(finding.is_denied for finding in lacking):
            raise DeniedError(
                message,
                "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the role): they need to list, get, put and delete below JOB_OUTPUT__URI.",
            )
        hint = "Use another store for JOB_OUTPUT__URI."
        if all(finding.is_fence for finding in lacking):
            hint += " JOB_OUTPUT__FENCE=off does without, if nothing ever starts this run twice at once."
        raise SettingsError(message, hint)


def probe(store: Store, run_name: str = "") -> ProbeResult:
    """Try every operation below ``<run name>/probe-<random>/`` and remove what it wrote.

    Raises:
        SettingsError: when there is no such bucket or folder.
        UnavailableError: when the store does not answer.
    """
    prefix = f"{run_name}/{PROBE_PREFIX}{secrets.token_hex(8)}/".removeprefix("/")
    findings = [_list(store, prefix)]
    try:
        if isinstance(store, Examined):
            findings += store.examine(prefix)
        findings.append(attempt("writing", partial(_write, store, prefix)))
        if findings[-1].ok:
            findings.append(attempt("reading", partial(_read, store, prefix)))
        findings.append(attempt("put-if-absent", partial(_put_if_absent, store, prefix), is_fence=True))
        if findings[-1].ok:
            findings.append(attempt("put-if-absent by several at once", partial(_race, store, prefix), is_fence=True))
    finally:
        findings.append(attempt("deleting", partial(_delete, store, prefix)))
    return ProbeResult(store.uri, tuple(findings))


def _list(store: Store, prefix: str) -> Finding:
    """The first request: a store that is not there, or is not one, is no matter of a single capability."""
    try:
        unexpected = any(store.list(prefix))
    except DeniedError as error:
        return Finding("listing", ok=False, detail=error.message, is_denied=True)
    return Finding("listing", ok=not unexpected, detail="the store lists objects that were never written" if unexpected else "")


def _write(store: Store, prefix: str) -> str:
    store.write_bytes(f"{prefix}written", b"written")
    return ""


def _read(store: Store, prefix: str) -> str:
    return "" if store.read_bytes(f"{prefix}written") == b"written" else "the store returned other bytes than were written"


def _put_if_absent(store: Store, prefix: str) -> str:
    """One after the other: the second must be refused, and the first's content stay."""
    key = f"{prefix}once"
    store.put_if_absent(key, b"first")
    if store.put_if_absent(key, b"second") or store.read_bytes(key) != b"first":
        return "a second writer replaced the first's object"
    return ""


def _race(store: Store, prefix: str) -> str:
    """All at once, several rounds: a store that looks first and writes then passes the test one after the other, not this one."""
    barrier = Barrier(_CALLERS)

    def put(round_and_caller: tuple[int, int]) -> bool:
        round_, caller = round_and_caller
        barrier.wait(timeout=60)
        return store.put_if_absent(f"{prefix}race-{round_}", str(caller).encode())

    with ThreadPoolExecutor(_CALLERS) as pool:
        for round_ in range(_ROUNDS):
            won = [*pool.map(put, [(round_, caller) for caller in range(_CALLERS)])]
            # None is possible where a reply was lost on the way: the caller then finds its own object there.
            if sum(won) > 1 or (any(won) and store.read_bytes(f"{prefix}race-{round_}") != str(won.index(True)).encode()):
                return f"of {_CALLERS} writers of one object at once, {sum(won)} were told that theirs is the one"
    return ""


def _delete(store: Store, prefix: str) -> str:
    try:
        keys = [found.key for found in store.list(prefix)]
    except DeniedError:
        return ""  # named by the finding about listing
    for key in keys:
        store.delete(key)
    try:
        abort_uploads(store, prefix)
    except (DeniedError, SettingsError, CrashError) as error:
        # Not required: the findings about uploads, which clean up behind themselves, have named it.
        logger.info("Interrupted uploads could not be looked for: %s", error)
    return ""
