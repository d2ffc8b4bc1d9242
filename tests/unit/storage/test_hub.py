"""What needs no server; the rest is in tests/integration/test_hub*.py."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable

import httpx2
import pytest
from huggingface_hub import constants
from huggingface_hub import errors as hub_errors

from job.errors import CrashError, DataError, DeniedError, JobError, LocalIOError, SettingsError, UnavailableError
from job.storage import hub
from job.storage.hub import HubRepo

SECRET = "Signature=canary"


def answer(kind: type[hub_errors.HfHubHTTPError], status: int, code: str = "", url: str = "") -> hub_errors.HfHubHTTPError:
    request = httpx2.Request("GET", f"{url or constants.ENDPOINT}/x?{SECRET}")
    return kind(SECRET, response=httpx2.Response(status, headers={"X-Error-Code": code}, request=request))


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


EXPLAINED: dict[str, tuple[Callable[[], Exception], type[JobError], bool]] = {
    "busy": (lambda: hub._BusyError("the Hub answered 503", None), UnavailableError, True),
    "gated": (lambda: answer(hub_errors.GatedRepoError, 403, "GatedRepo"), DeniedError, False),
    "disabled": (lambda: answer(hub_errors.DisabledRepoError, 403), DeniedError, False),
    "no repository": (lambda: answer(hub_errors.RepositoryNotFoundError, 404, "RepoNotFound"), SettingsError, False),
    "bad token, called missing": (lambda: answer(hub_errors.RepositoryNotFoundError, 401), DeniedError, False),
    "no revision": (lambda: answer(hub_errors.RevisionNotFoundError, 404, "RevisionNotFound"), SettingsError, False),
    "no file": (lambda: answer(hub_errors.RemoteEntryNotFoundError, 404, "EntryNotFound"), DataError, False),
    "bad request": (lambda: answer(hub_errors.BadRequestError, 400), DeniedError, False),
    "expired address": (lambda: answer(hub_errors.HfHubHTTPError, 403, url="https://files.example"), UnavailableError, True),
    "not cached, because denied": (
        lambda: caused(hub_errors.LocalEntryNotFoundError(SECRET), answer(hub_errors.HfHubHTTPError, 403)),
        DeniedError,
        False,
    ),
    "not cached, because unreachable": (
        lambda: caused(hub_errors.LocalEntryNotFoundError(SECRET), httpx2.ConnectError(SECRET)),
        UnavailableError,
        True,
    ),
    "forced, but unreachable": (lambda: caused(ValueError(SECRET), httpx2.ReadTimeout(SECRET)), UnavailableError, True),
    "not cached": (lambda: hub_errors.LocalEntryNotFoundError(SECRET), UnavailableError, True),
    "no connection": (lambda: httpx2.ConnectError(SECRET), UnavailableError, True),
    "no answer": (lambda: httpx2.ReadTimeout(SECRET), UnavailableError, True),
    "cut": (lambda: httpx2.RemoteProtocolError(SECRET), UnavailableError, True),
    "another size": (lambda: OSError(SECRET), UnavailableError, True),
    "no Hub": (lambda: hub_errors.FileMetadataError(SECRET), UnavailableError, True),
    "no JSON": (lambda: json.JSONDecodeError(SECRET, "<html>", 0), UnavailableError, True),
    "xet": (lambda: RuntimeError(SECRET), UnavailableError, True),
    "not a name": (lambda: hub_errors.HFValidationError(SECRET), SettingsError, False),
    "disk full": (lambda: OSError(errno.ENOSPC, "No space left on device", "/work/x"), LocalIOError, False),
}


@pytest.mark.parametrize("case", EXPLAINED)
def test_every_error_of_the_library_has_one_meaning(case: str) -> None:
    make, kind, transient = EXPLAINED[case]
    failure = hub._explain(make(), "Downloading config.json", "JOB_MODEL__URI")
    assert type(failure.error) is kind
    assert failure.transient is transient
    assert failure.error.hint
    assert "canary" not in str(failure.error)


def test_a_bug_stays_a_bug() -> None:
    failure = hub._explain(ValueError("wrong argument"), "Downloading", "JOB_MODEL__URI")
    assert isinstance(failure.error, CrashError)


def test_what_the_calls_may_raise_is_caught() -> None:
    raised_by_our_calls = [
        hub_errors.HfHubHTTPError,
        hub_errors.LocalEntryNotFoundError,
        hub_errors.FileMetadataError,
        hub_errors.HFValidationError,
        hub_errors.OfflineModeIsEnabled,
        httpx2.TransportError,
        httpx2.TooManyRedirects,
        httpx2.DecodingError,
    ]
    assert all(issubclass(kind, hub._FOREIGN) for kind in raised_by_our_calls)


@pytest.mark.parametrize("status", [200, 302, 304, 401, 403, 404, 416])
def test_answers_that_will_be_the_same_again_are_left_to_the_library(status: int) -> None:
    hub._take_over_retries(httpx2.Response(status))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_answers_that_may_pass_are_taken_over(status: int) -> None:
    with pytest.raises(hub._BusyError) as caught:
        hub._take_over_retries(httpx2.Response(status, headers={"Retry-After": "3"}))
    assert caught.value.args == (f"the Hub answered {status}", "3")


def test_uris_are_as_the_hub_writes_them() -> None:
    assert HubRepo("model", "org/name", "main").uri == "hf://org/name"
    assert HubRepo("dataset", "org/name").uri == "hf://datasets/org/name"
