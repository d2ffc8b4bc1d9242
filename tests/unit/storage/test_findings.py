import errno

import pytest

from job.errors import DeniedError, LocalIOError, SettingsError, StopRequested, UnavailableError, as_job_error
from job.storage.findings import Finding, attempt


def raising(error):
    def action():
        raise error

    return action


def test_what_works_what_does_not_and_why():
    assert attempt("x", lambda: "") == Finding("x", ok=True)
    assert attempt("x", lambda: "broken", required=False) == Finding("x", ok=False, detail="broken", required=False)
    assert attempt("x", raising(SettingsError("501")), is_fence=True) == Finding("x", ok=False, detail="501", is_fence=True)
    assert attempt("x", raising(DeniedError("403"))) == Finding("x", ok=False, detail="403", is_denied=True)


def test_no_answer_says_nothing_about_a_capability():
    with pytest.raises(UnavailableError):
        attempt("x", raising(UnavailableError("503")))
    with pytest.raises(ZeroDivisionError):
        attempt("x", raising(ZeroDivisionError()))


def test_a_full_disk_says_nothing_either():
    full = as_job_error(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(LocalIOError):
        attempt("x", raising(full))
    unknown = LocalIOError("no hard links")
    unknown.__cause__ = OSError(errno.EOPNOTSUPP, "not supported")
    assert attempt("x", raising(unknown)).detail == "no hard links"


def test_a_stop_request_says_nothing_about_the_store():
    def stopped():
        raise StopRequested("SIGTERM")

    with pytest.raises(StopRequested):
        attempt("reading", stopped)
