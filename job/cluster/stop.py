"""One stop request out of many causes: SIGTERM, SIGUSR2, the stop file, a deadline, a stop of another node.

The node process learns of the cause and writes the stop file; workers read nothing but that file.  That another node failed
comes this way too, because it has to reach the main thread wherever it is.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from job.errors import JobError, StopRequested

SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
WAKE = signal.SIGURG
"""Sent by a thread of this process to its main thread; ignored wherever nobody listens."""


class StopRequest:
    """Whether this attempt is asked to stop, and why.

    Args:
        path: the stop file.
        deadline: monotonic time at which the scheduler ends the process; None when unknown.
    """

    def __init__(self, path: Path, deadline: float | None = None) -> None:
        self.path = path
        self.deadline = deadline
        self.lead_s = 0.0
        """Seconds that saving and uploading took so far; the deadline is met that much earlier."""
        self.requested_at: float | None = None
        self.cause = ""
        self.failure: JobError | None = None
        """What ended another node of the run, and thereby this one."""
        self._listening = False
        self._interruptible = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Turn the signals into the request while inside.  Only the main thread can listen."""
        self.path.unlink(missing_ok=True)
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in (*SIGNALS, WAKE)}
        self._listening = True
        try:
            yield
        finally:
            self._listening = False
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Work that may be dropped at any instant, such as a download: inside, a signal raises `StopRequested` at once."""
        self.check()
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def request(self, cause: str, *, wake: bool = False) -> None:
        """Ask to stop; the first cause counts.

        Args:
            cause: who or what asks.
            wake: from another thread: what may be dropped at any instant in the main thread is dropped.
        """
        if self.requested_at is None:
            self.requested_at, self.cause = time.monotonic(), cause
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        if wake:
            self._wake()

    def fail(self, error: JobError) -> None:
        """Another node ended badly: this one cannot go on.  From any thread; the first error counts."""
        self.failure = self.failure or error
        self._wake()

    def raise_failure(self) -> None:
        """Raise what ended another node, when one has ended."""
        if self.failure is not None:
            raise self.failure

    def seen(self) -> bool:
        """Whether a stop was requested by any cause."""
        if self.requested_at is None and self.path.exists():
            self.request("the stop file")
        if self.requested_at is None and self.deadline is not None and time.monotonic() + self.lead_s > self.deadline:
            self.request("the end of the allocation")
        return self.requested_at is not None

    def check(self) -> None:
        """Raise what ended another node, or `StopRequested` when a stop was requested."""
        self.raise_failure()
        if self.seen():
            raise StopRequested(
                f"Stopped on request ({self.cause}); nothing that was trained is lost.", "Start the same run again to continue."
            )

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number != WAKE:
            self.request(signal.Signals(number).name)
        if self._interruptible:
            self._interruptible = False
            self.check()

    def _wake(self) -> None:
        main = threading.main_thread()
        if self._listening and main.ident is not None:
            signal.pthread_kill(main.ident, WAKE)
