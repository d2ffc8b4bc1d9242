"""Notices when no worker makes progress, and has the workers print their stacks and last collectives."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from job.cluster.launch import workers_of
from job.run_dir import RunDir

DUMP_SIGNALS = (signal.SIGUSR1, signal.SIGRTMIN)
"""For the stacks, and for the last collectives: `job.workers.program` and `job.workers.collective_trace` answer them."""
DUMP_WAIT_S = 1.0


class Watchdog:
    """Watches the heartbeats of one program on this node.

    A group makes progress together (every step ends in a collective), so the newest heartbeat counts for all.  Before the first
    heartbeat the time since the start counts.
    """

    def __init__(self, run_dir: RunDir, program: str, timeout_s: float) -> None:
        self._pattern = f"{program}-*"
        self._root = run_dir.root
        self._folder = run_dir.root / "heartbeats"
        self._timeout_s = timeout_s
        self._started = time.time()

    def stalled(self) -> bool:
        """Whether the newest heartbeat is older than the limit."""
        newest = max((_modified(path) for path in self._folder.glob(self._pattern)), default=0.0)
        return time.time() - max(newest, self._started) > self._timeout_s

    def dump_stacks(self) -> None:
        """Ask every worker for its stacks, then for its last collectives; both land in the program's log.

        One after the other: a worker that does not answer the second signal yet dies of it.
        """
        for asked in DUMP_SIGNALS:
            for pid in workers_of(self._root):
                if not _is_launcher(pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, asked)
            time.sleep(DUMP_WAIT_S)


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _is_launcher(pid: int) -> bool:
    """Whether it is torchrun, which has no handler for the signal and would die of it."""
    try:
        return b"torch.distributed.run" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
