"""What every worker program has around its work: logs, the stop file, a heartbeat, and an outcome that survives the launcher.

torchrun turns every worker's exit code into 1, so the outcome is a file; the node process exits with its code.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from job import run_dir as run_dirs
from job.cluster import topology
from job.errors import JobError, as_job_error
from job.reporting import logs
from job.run_dir import RunDir
from job.settings import resolved
from job.settings.root import Settings

logger = logging.getLogger(__name__)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
DUMP_SIGNAL = signal.SIGUSR1


def run_program(name: str, body: Callable[[RunDir, Settings], None]) -> None:
    """Run a worker program to its end and exit with its outcome's code.

    Args:
        name: the program's name in outcome and heartbeat files.
        body: the work.
    """
    run_dir = RunDir(Path(sys.argv[1]))
    place = topology.worker_place()
    settings = resolved.read(run_dir.settings)
    logs.setup("json", sys.stderr, {"run": settings.run.name, "program": name, "rank": place.rank})
    _listen(run_dir)
    record: dict[str, object] = {"code": 0}
    try:
        body(run_dir, settings)
    except Exception as error:  # noqa: BLE001 - the outcome of a program is whatever ended it
        record = _failure_record(as_job_error(error))
    record |= {"time": time.time(), "rank": place.rank}
    run_dirs.write_json(run_dir.outcome(name, place.rank), record)
    code = record["code"]
    assert isinstance(code, int)
    logging.shutdown()
    sys.stderr.flush()
    # No clean-up of process groups: a peer may be gone, and tearing down would wait for it.
    os._exit(code)


def _failure_record(error: JobError) -> dict[str, object]:
    if error.exit_code == 75:
        logger.info("stopped: %s", error.message)
    else:
        logger.error("ended: %s", error, exc_info=error.__cause__)
    return {"code": error.exit_code, "name": error.name, "message": error.message, "hint": error.hint}


def _listen(run_dir: RunDir) -> None:
    """Signals that reach a worker directly (Slurm sends them to every process) become the one stop request: the stop file."""

    def request_stop(signum: int, _: FrameType | None) -> None:
        run_dir.stop.touch()

    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, request_stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.register(DUMP_SIGNAL, all_threads=True)


class Heartbeat:
    """Tells the watchdog that this worker made progress."""

    def __init__(self, run_dir: RunDir, program: str, rank: int) -> None:
        self._path = run_dir.heartbeat(program, rank)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.beat()

    def beat(self) -> None:
        self._path.touch()
