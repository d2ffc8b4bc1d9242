"""Every way the job can end, and what each tells the scheduler.

    JobError
    ├── SettingsError     64  a setting is wrong or missing
    ├── DataError         65  the data cannot be used as asked
    ├── UnavailableError  69  store or Hub unreachable after bounded retries
    ├── CrashError        70  a bug
    ├── StalledError      71  the watchdog saw no progress
    ├── LocalIOError      74  disk full or broken
    ├── StopRequested     75  asked to stop; nothing that was trained is lost
    ├── FencedError       76  a newer attempt owns the run
    ├── DeniedError       77  credentials, permissions, gated repository
    ├── UnusableError     78  commits exist, none verifies
    └── HopelessError     93  diverged, too large for memory, no progress

An error is written for a person: ``message`` says what happened and why, ``hint`` what to do.  Neither may hold a secret or
the value of a setting.
"""

from __future__ import annotations

import errno
from enum import Enum
from typing import ClassVar


class Retry(str, Enum):
    """What a scheduler should do after an exit code."""

    STOP = "stop"
    NEVER = "not retry"
    COUNTED = "retry, counted"
    FREE = "retry, free"


class JobError(Exception):
    """Base of all outcomes but success.

    Args:
        message: what happened and why, one or a few sentences.
        hint: what the reader can do about it; empty when there is nothing.
    """

    exit_code: ClassVar[int] = 70
    name: ClassVar[str] = "crash"
    retry: ClassVar[Retry] = Retry.COUNTED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class SettingsError(JobError):
    """A setting is wrong or missing."""

    exit_code, name, retry = 64, "settings", Retry.NEVER


class DataError(JobError):
    """The data cannot be used as asked."""

    exit_code, name, retry = 65, "data", Retry.NEVER


class UnavailableError(JobError):
    """Store or Hub unreachable after bounded retries."""

    exit_code, name, retry = 69, "unavailable", Retry.COUNTED


class CrashError(JobError):
    """A bug: in the job, or in something it stands on."""

    exit_code, name, retry = 70, "crash", Retry.COUNTED


class StalledError(JobError):
    """No progress within the watchdog's limit."""

    exit_code, name, retry = 71, "stalled", Retry.COUNTED


class LocalIOError(JobError):
    """The local disk is full, read-only or broken."""

    exit_code, name, retry = 74, "local i/o", Retry.COUNTED


class StopRequested(JobError):
    """Asked to stop; every trained step that matters is committed."""

    exit_code, name, retry = 75, "stopped", Retry.FREE


class FencedError(JobError):
    """A newer attempt owns the run."""

    exit_code, name, retry = 76, "fenced", Retry.NEVER


class DeniedError(JobError):
    """Credentials, permissions, a gated repository."""

    exit_code, name, retry = 77, "denied", Retry.NEVER


class UnusableError(JobError):
    """Commits exist and none can be used."""

    exit_code, name, retry = 78, "unusable", Retry.NEVER


class HopelessError(JobError):
    """Diverged, too large for memory, or no progress: trying again would end the same way."""

    exit_code, name, retry = 93, "hopeless", Retry.NEVER


COMPLETE = 0
ERRORS: dict[int, type[JobError]] = {
    error.exit_code: error
    for error in (
        SettingsError,
        DataError,
        UnavailableError,
        CrashError,
        StalledError,
        LocalIOError,
        StopRequested,
        FencedError,
        DeniedError,
        UnusableError,
        HopelessError,
    )
}
_LOCAL_IO = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENFILE, errno.EMFILE, errno.EACCES, errno.EPERM}


def as_job_error(error: BaseException) -> JobError:
    """Turn any exception into an outcome: ours as they are, disk errors to 74, the rest to 70 (a bug); the original is the cause."""
    if isinstance(error, JobError):
        return error
    outcome = _outcome(error)
    outcome.__cause__ = error
    return outcome


def _outcome(error: BaseException) -> JobError:
    if isinstance(error, OSError) and error.errno in _LOCAL_IO:
        where = f" at {error.filename}" if error.filename else ""
        return LocalIOError(
            f"The local disk refused an operation{where}: {error.strerror}.",
            "Free space or mount a writable folder at JOB_RUN__DIR (for a local store, at JOB_OUTPUT__URI); "
            "the run continues from its last commit.",
        )
    return CrashError(
        f"{type(error).__name__}: {error}",
        "This is a bug in the job or in a library under it; the stack above and in the log says where.",
    )
