"""One stop request out of many causes: SIGTERM, SIGUSR2, the stop file, a deadline, a stop of another node.

The node process learns of the cause and writes the stop file; workers read nothing but that file.  That another node failed
comes this way too, because it has to reach the main thread wherever it is.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from job.cluster.alive import SERVICE
from job.errors import JobError, SettingsError, StopRequested
from job.settings.root import Settings

SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
WAKE = signal.SIGURG
"""Sent by a thread of this process to its main thread; ignored wherever nobody listens."""
WATCH_EVERY_S = 0.5
"""Seconds between two looks for a stop file, or the deadline, during work that may be dropped."""


@dataclass
class Pace:
    """What this attempt measured so far, in seconds: a step, and the longest save and upload of a checkpoint."""

    step_s: float = 0.0
    save_s: float = 0.0
    upload_s: float = 0.0
    _last: tuple[int, float] | None = None

    @property
    def lead_s(self) -> float:
        """How long before its end the allocation must be left: a step, then save and upload, behind another one under way."""
        return self.step_s + 2 * (self.save_s + self.upload_s)

    def learn(self, record: Mapping[str, Any]) -> None:
        """Take over what a metric record of this attempt says of saves and steps."""
        self.save_s = max(self.save_s, record.get("time/checkpoint_save_s") or 0.0)
        if "train/loss" not in record:
            return
        step, seconds = int(record["step"]), float(record["time_s"])
        if self._last is not None and step > self._last[0]:
            self.step_s = (seconds - self._last[1]) / (step - self._last[0])
        self._last = (step, seconds)


def deadline_of(settings: Settings, started: float, epoch: float) -> float | None:
    """The monotonic time at which only the grace is left of the allocation; None where its end is unknown.

    Args:
        settings: what is known of the end: seconds from the start, or a time of day.
        started: monotonic time of the start.
        epoch: what a time of day is more than the monotonic one.

    Raises:
        SettingsError: when the end of the allocation has passed, or is too near to save anything.
    """
    run, end = settings.run, settings.limits.deadline
    if end is not None and end - epoch - started <= run.grace_s:
        raise SettingsError(
            "JOB_LIMITS__DEADLINE leaves nothing to train in: it has passed, or is no more than JOB_RUN__GRACE_S away.",
            "Give the end of this very allocation, in seconds since 1970; it is another one at every start.",
        )
    ends = [started + run.time_limit_s] if run.time_limit_s is not None else []
    ends += [end - epoch] if end is not None else []
    return min(ends) - run.grace_s if ends else None


class StopRequest:
    """Whether this attempt is asked to stop, and why.

    Args:
        path: the stop file, which the workers watch.
        deadline: monotonic time at which the scheduler ends the process; None when unknown.
        outer: a stop file that the scheduler's script makes, and removes; None where there is no such script.
    """

    def __init__(self, path: Path, deadline: float | None = None, outer: Path | None = None) -> None:
        self.path = path
        self.deadline = deadline
        self._outer = outer
        self.pace = Pace()
        self.requested_at: float | None = None
        self.cause = ""
        self.failure: JobError | None = None
        """What ended another node of the run, and thereby this one."""
        self._listening = False
        self.armed = False
        """Whether any cause raises at once, wherever the main thread is."""

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
        """Work that may be dropped at any instant, such as a download: inside, any cause raises `StopRequested` at once.

        And again every `WATCH_EVERY_S` until it is left: whoever caught the first one, or cleans up at a store that does not answer, is
        in the way.
        """
        self.check()
        self.armed = True
        over = threading.Event()
        thread = threading.Thread(target=_watch, args=(self, over), name=f"{SERVICE}stop", daemon=True)
        if self._listening:
            thread.start()
        try:
            yield
        finally:
            self.armed = False
            over.set()

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
            self.wake()

    def fail(self, error: JobError) -> None:
        """Another node ended badly: this one cannot go on.  From any thread; the first error counts."""
        self.failure = self.failure or error
        self.wake()

    def raise_failure(self) -> None:
        """Raise what ended another node, when one has ended."""
        if self.failure is not None:
            raise self.failure

    def seen(self) -> bool:
        """Whether a stop was requested by any cause."""
        if self.requested_at is None and (self.path.exists() or (self._outer is not None and self._outer.exists())):
            self.request("the stop file")
        if self.requested_at is None and self.deadline is not None and time.monotonic() + self.pace.lead_s > self.deadline:
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
        if self.armed:
            self.check()

    def wake(self) -> None:
        """Have the main thread look at once, wherever it is.  From any thread."""
        main = threading.main_thread()
        if self._listening and main.ident is not None:
            signal.pthread_kill(main.ident, WAKE)


def _watch(stop: StopRequest, over: threading.Event) -> None:
    """Wake the main thread for a stop file or the deadline, which unlike a signal it does not hear of by itself; until it is heard."""
    while not over.wait(WATCH_EVERY_S):
        if stop.failure is not None or stop.seen():
            stop.wake()
