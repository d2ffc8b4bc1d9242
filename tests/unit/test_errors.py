from __future__ import annotations

import errno
import pickle

import pytest

from job import errors
from job.errors import ERRORS, CrashError, JobError, LocalIOError, Retry, SettingsError, as_job_error


def below(kind: type[JobError]) -> set[type[JobError]]:
    return {kind}.union(*(below(child) for child in kind.__subclasses__()))


def test_the_codes_are_those_of_the_contract() -> None:
    names = {code: (kind.name, kind.retry.value) for code, kind in ERRORS.items()}
    assert names == {
        64: ("settings", "not retry"),
        65: ("data", "not retry"),
        69: ("unavailable", "retry, counted"),
        70: ("crash", "retry, counted"),
        71: ("stalled", "retry, counted"),
        74: ("local i/o", "retry, counted"),
        75: ("stopped", "retry, free"),
        76: ("fenced", "not retry"),
        77: ("denied", "not retry"),
        78: ("unusable", "not retry"),
        93: ("hopeless", "not retry"),
    }
    assert errors.COMPLETE == 0


def test_every_error_ends_with_a_code_of_the_table() -> None:
    assert {kind.exit_code for kind in below(JobError)} == ERRORS.keys()
    assert all(isinstance(kind.retry, Retry) for kind in below(JobError))


@pytest.mark.parametrize("kind", ERRORS.values())
def test_the_tree_in_the_docstring_is_the_tree(kind: type[JobError]) -> None:
    lines = [line.split() for line in str(errors.__doc__).splitlines() if kind.__name__ in line]
    assert [line[2] for line in lines] == [str(kind.exit_code)]


def test_an_error_reads_as_what_happened_and_what_to_do() -> None:
    assert str(SettingsError("It is wrong.", "Set it right.")) == "It is wrong. Set it right."
    assert str(SettingsError("It is wrong.")) == "It is wrong."


def test_an_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(SettingsError("It is wrong.", "Set it right.")))
    assert (type(error), error.message, error.hint) == (SettingsError, "It is wrong.", "Set it right.")


def test_our_own_errors_stay_what_they_are() -> None:
    error = SettingsError("x")
    assert as_job_error(error) is error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.EACCES])
def test_a_broken_disk_is_no_bug(number: int) -> None:
    error = as_job_error(OSError(number, "reason", "/work/file"))
    assert isinstance(error, LocalIOError)
    assert error.message == "The local disk refused an operation at /work/file: reason."
    assert "JOB_RUN__DIR" in error.hint


@pytest.mark.parametrize(
    "cause", [ValueError("what"), FileNotFoundError(errno.ENOENT, "what"), OSError("what"), KeyboardInterrupt("what")]
)
def test_anything_else_is_a_bug_that_is_named(cause: BaseException) -> None:
    error = as_job_error(cause)
    assert isinstance(error, CrashError)
    assert error.message.startswith(f"{type(cause).__name__}: ")
    assert "what" in error.message
