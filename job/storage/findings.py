"""What a probe found out about a store."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from job.errors import DeniedError, JobError, StopRequested, UnavailableError

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO}


@dataclass(frozen=True)
class Finding:
    """One capability: whether the store has it, and what is wrong where it has not.

    Without a ``required`` one the job does not start.  ``is_fence`` marks what protects from a second attempt at once.
    """

    capability: str
    ok: bool
    detail: str = ""
    required: bool = True
    is_fence: bool = False
    is_denied: bool = False


def attempt(capability: str, action: Callable[[], str], *, required: bool = True, is_fence: bool = False) -> Finding:
    """Try a capability.

    ``action`` uses it and returns what is wrong, empty when nothing is.

    Raises:
        UnavailableError: when the store does not answer, which says nothing about what it can do.
        StopRequested: when the job was asked to stop meanwhile.
        LocalIOError: when a local store's disk is full or broken, which says no more.
    """
    try:
        problem, denied = action(), False
    except (UnavailableError, StopRequested):
        raise
    except JobError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _PASSING:
            raise
        problem, denied = error.message, isinstance(error, DeniedError)
    return Finding(capability, not problem, problem, required, is_fence, denied)
