"""Runs of the job under the scripts of ``slurm/``, and what is done to them while they train.

A run that is to be disturbed at a certain moment is frozen there (`tests.support.frozen`).
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import jobs, scenarios, tiny
from tests.support.frozen import Frozen, freeze
from tests.support.servers.slurm import OVER, Slurm, submit

ROOT = Path(__file__).parents[2]
JOB, SWEEP = ROOT / "slurm" / "job.sbatch", ROOT / "slurm" / "sweep.sbatch"
TIMEOUT_S = 1000
"""Of any wait.  All runs of `tests/deploy/test_slurm_runs.py` share the cores; on a busy machine that took more than 500 s."""
AS_IS = ("BATCH_", "PATH", "CONTAINERS_CONF")


@dataclass(frozen=True)
class Site:
    """A cluster, and a folder on the disk that all its nodes share."""

    cluster: Slurm
    folder: Path

    def write_inputs(self) -> None:
        scenarios.write_inputs(self.folder)

    def settings(self, name: str, **more: str) -> str:
        """An environment file of a run with two workers; a name in ``more`` lacks the job's prefix, unless it is one of `AS_IS`."""
        batch = {
            "BATCH_SCRATCH": str(self.cluster.scratch),
            "BATCH_COMMAND": f"{sys.executable} -m job run",
            "PYTHONPATH": str(ROOT),
            **{key: more.pop(key) for key in list(more) if key.startswith(AS_IS)},
        }
        shape = {"PARALLEL__WORKERS_PER_NODE": "2", "RUN__GRACE_S": "60"}
        values = {**tiny.environ(self.folder, RUN__NAME=name, **{**scenarios.RECIPE, **shape, **more}), **batch}
        del values["JOB_RUN__DIR"]  # the script's to say
        path = self.folder / f"{name}.env"
        path.write_text("# as docker reads it\n" + "".join(f"{key}={value}\n" for key, value in values.items()))
        return str(path)

    def submit(self, name: str, *options: str, script: Path = JOB, **more: str) -> str:
        exported = {"JOB_SETTINGS_FILE": self.settings(name, **more), "BATCH_JOB_SCRIPT": str(JOB)}
        return submit(self.cluster, script, *options, cwd=self.folder, **exported)

    def wait(self, what: str, condition: Callable[[], Any]) -> Any:
        """The first value of ``condition`` that is true."""
        end = time.monotonic() + TIMEOUT_S
        while not (found := condition()):
            if time.monotonic() > end:
                raise TimeoutError(f"{what}\n{self.cluster.call('squeue', check=False)}")
            time.sleep(0.2)
        return found

    def wait_for_stop(self, asked: Callable[[], bool]) -> None:
        self.wait("a stop request", asked)

    def ended(self, job: str) -> dict[str, str]:
        """What Slurm shows of a job that will not run again."""
        return self.wait(f"end of {job}", lambda: shown if (shown := self.cluster.show(job))["JobState"] in OVER else None)

    def running(self, job: str, restarts: int) -> dict[str, str]:
        """What Slurm shows of a job in its attempt of that number."""

        def look() -> dict[str, str] | None:
            shown = self.cluster.show(job)
            return shown if (shown["JobState"], shown["Restarts"]) == ("RUNNING", str(restarts)) else None

        return self.wait(f"attempt {restarts} of {job}", look)

    def entries(self, name: str, kind: str) -> list[dict[str, Any]]:
        return [entry["fields"] for entry in jobs.log_entries(self.folder / "store", name) if entry["kind"] == kind]

    def frozen(self, job: str, name: str, restarts: int = 0) -> Frozen:
        """The run's workers, frozen after the first commit of that attempt."""
        shown = self.running(job, restarts)
        before = len(self.entries(name, "committed")) if restarts else 0
        self.wait(f"a commit of {name}", lambda: len(self.entries(name, "committed")) > before)
        run_dir = self.cluster.scratch / f"job-{shown['JobId']}-{restarts}-0" / name
        return freeze(run_dir, self.cluster.folder / "disk" / shown["BatchHost"] / run_dir.relative_to(self.cluster.scratch))

    def weights(self, name: str) -> bytes:
        return (jobs.published(self.folder / "store", name) / "model.safetensors").read_bytes()

    def continued_at(self, log: str) -> set[int]:
        """The steps whose checkpoints attempts continued from, by the run's log."""
        return {int(step) for step in re.findall(r'"resumed_step": (\d+)', (self.folder / log).read_text())}
