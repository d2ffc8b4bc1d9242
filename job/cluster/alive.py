"""The node process's sign of life, for a scheduler's probe: a file that is touched as long as its threads get anywhere.

No stage has to remember it, be it a download of hours or the wait for an upload: a thread that works, or waits with a time-out, is
scheduled again and again, and one that hangs is not.  A frozen process touches nothing at all.  Whether the workers make
progress is the watchdog's question (`job.cluster.watchdog`).
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

EVERY_S = 5.0
"""Seconds between two looks."""
SERVICE = "service-"
"""Beginning of the names of threads that serve others: that they run does not show that the job does."""
_SWITCHES = re.compile(r"^(?:non)?voluntary_ctxt_switches:\s*(\d+)$", re.MULTILINE)


@contextlib.contextmanager
def beating(path: Path, every_s: float = EVERY_S) -> Iterator[None]:
    """Touch ``path`` while inside, as long as the job's threads are at work; afterwards it is gone."""
    over = threading.Event()

    def beat() -> None:
        before = -1
        while True:
            now = turns()
            if now != before:
                _touch(path)
            before = now
            if over.wait(every_s):
                return

    _touch(path)
    thread = threading.Thread(target=beat, name=f"{SERVICE}alive", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def age_s(path: Path) -> float | None:
    """Seconds since the last sign of life; None where no node process is running."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None


def turns() -> int:
    """How often the job's threads took turns on a processor so far."""
    total = 0
    for thread in threading.enumerate():
        if not thread.name.startswith(SERVICE):
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                status = Path(f"/proc/self/task/{thread.native_id}/status").read_text(encoding="ascii", errors="replace")
                total += sum(map(int, _SWITCHES.findall(status)))
    return total


def _touch(path: Path) -> None:
    """With this machine's own clock: on a network disk the server's might differ.  A full disk is told elsewhere."""
    now = time.time()
    with contextlib.suppress(OSError):
        path.touch()
        os.utime(path, (now, now))
