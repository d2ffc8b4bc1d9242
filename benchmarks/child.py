"""Every measurement is a fresh process: nothing is warm that a user's run would find cold, and its CPU time is its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from job.cluster import launch

ROOT = Path(__file__).parents[1]
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONPATH": str(ROOT),
}
RESULT = "RESULT "
"""A measurement prints one line that begins with this; the rest of the line is JSON."""


def run(arguments: Sequence[str], environ: Mapping[str, str] = {}, *, processes: int = 1, threads: int = 1) -> dict[str, Any]:
    """Run ``python <arguments>``, under torchrun when ``processes`` > 1.

    Returns:
        The JSON object it printed, with ``process_wall_s``, ``process_cpu_s`` (all its processes, imports included) and
        ``others_share``, the share of all cores that other programs took meanwhile.

    Raises:
        RuntimeError: when it failed; with the end of its output.
    """
    argv = [sys.executable, *_torchrun(processes), *arguments]
    threads_ = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOB_")}
    started, cpu, busy = time.perf_counter(), _children_cpu(), machine.busy_seconds()
    whole = {**inherited, **QUIET, **threads_, **environ}
    done = subprocess.run(argv, env=whole, capture_output=True, text=True, cwd=ROOT, check=False)
    wall, cpu, busy = time.perf_counter() - started, _children_cpu() - cpu, machine.busy_seconds() - busy
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-6000:]}")
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    found = json.loads(lines[-1].removeprefix(RESULT)) if lines else {}
    others = max(0.0, busy - cpu) / (wall * (os.cpu_count() or 1))
    return {**found, "process_wall_s": wall, "process_cpu_s": cpu, "others_share": others}


def result(values: Mapping[str, Any]) -> None:
    """Print a measurement's result."""
    print(RESULT + json.dumps(values), flush=True)


def _torchrun(processes: int) -> list[str]:
    if processes == 1:
        return []
    where = ["--master-addr=127.0.0.1", f"--master-port={launch.free_port()}"]
    return ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", *where]


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
