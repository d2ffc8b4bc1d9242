"""Workers of a run that stand still: they get SIGSTOP after a commit, and SIGCONT once they have been asked to stop.

So what is done to a run happens at a certain moment of its training, whatever the machine's speed, and waiting costs no processor time.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.cluster import launch

Wait = Callable[[Callable[[], Any]], Any]


@dataclass(frozen=True)
class Frozen:
    """Workers that stand still.

    ``run_dir`` is their run directory as they know it, ``seen_at`` as this machine sees it; where others may have a run directory of that
    name, ``pid_space`` is the name space of theirs (``/proc/<pid>/ns/pid``).
    """

    run_dir: Path
    seen_at: Path
    pid_space: str = ""

    def signal(self, number: signal.Signals) -> None:
        for pid in launch.workers_of(self.run_dir):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if self.pid_space in ("", pid_space(pid)):
                    os.kill(pid, number)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def thaw_when_asked_to_stop(self, wait: Wait) -> None:
        wait((self.seen_at / "stop").exists)
        self.thaw()


def pid_space(pid: int) -> str:
    """The name space of a process's process ids."""
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


def freeze(run_dir: Path, seen_at: Path, pid_space: str = "") -> Frozen:
    """Stop the workers of a run where they are."""
    found = Frozen(run_dir, seen_at, pid_space)
    found.signal(signal.SIGSTOP)
    return found
