"""The job as a user or a scheduler runs it: `python -m job run` as a process, with an environment, a signal, an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import warm

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How one start of the job ended."""

    code: int
    output: str
    seconds: float

    @property
    def failure(self) -> dict[str, Any]:
        """The record on the last line of standard error."""
        return dict(json.loads(self.output.strip().splitlines()[-1]))


def start(
    environ: Mapping[str, str], log: Path, within: Sequence[str] = (), *, module: str = "job", cold: bool = False
) -> subprocess.Popen[bytes]:
    """Start the job in the background; its output goes to ``log``.

    Args:
        environ: its variables.
        log: a file.
        within: a command that runs the command after it, elsewhere.
        module: what is run with the argument ``run``.
        cold: start it, and all that it starts, with interpreters of their own (`tests.support.warm`).
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JOB_")}
    popen = subprocess.Popen if cold or within else warm.Popen
    with log.open("wb") as output:
        return popen(
            [*within, sys.executable, "-m", module, "run"],
            env={**clean, "PYTHONPATH": str(ROOT), **environ},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def run(
    environ: Mapping[str, str], log: Path, *, stop_after_s: float | None = None, timeout_s: float = 600, cold: bool = False
) -> Ended:
    """Run the job to its end, with a SIGTERM on the way when asked."""
    if not cold:
        warm.ready()
    began = time.monotonic()
    process = start(environ, log, cold=cold)
    try:
        if stop_after_s is not None:
            try:
                process.wait(stop_after_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)
        code = process.wait(timeout_s)
    finally:
        process.kill()
    return Ended(code, log.read_text(errors="replace"), time.monotonic() - began)


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[bytes], timeout_s: float = 180) -> None:
    """Wait for something that a running job is about to do; an error when the job ends before it."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, "the job ended early"
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def log_entries(store: Path, name: str) -> list[dict[str, Any]]:
    """The run's history in a ``file://`` store."""
    return [json.loads(path.read_bytes()) for path in sorted((store / name / "log").glob("*.json"))]


def published(store: Path, name: str) -> Path:
    """The folder of the published model in a ``file://`` store."""
    entry = next(entry for entry in log_entries(store, name) if entry["kind"] == "published")
    return store / Path(entry["fields"]["manifest"]).parent
