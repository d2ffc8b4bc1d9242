"""What every worker program has around its work: logs, signals, a heartbeat, and an outcome that survives the launcher.

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

from job import run_dir as run_dirs
from job.cluster import topology
from job.errors import COMPLETE, JobError, StopRequested, as_job_error
from job.reporting import logs
from job.run_dir import RunDir
from job.settings import resolved
from job.settings.root import Settings
from job.workers import collective_trace

logger = logging.getLogger(__name__)
IGNORED_SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
"""A stop request comes by the stop file alone.  Slurm signals every process, and torchrun sends SIGTERM to the survivors of a
failure: taken for a request, that would make a stopped run out of a failed one."""
DUMP_SIGNAL = signal.SIGUSR1
PEER_LOST = ("Connection closed by peer", "Connection reset by peer", "ncclRemoteError")
"""What Gloo and NCCL say when another worker is gone."""


def run_program(name: str, body: Callable[[RunDir, Settings], None]) -> None:
    """Run a worker program to its end and exit with its outcome's code.

    Args:
        name: the program's name in outcome and heartbeat files.
        body: the work.
    """
    run_dir = RunDir(Path(sys.argv[1]))
    place = topology.worker_place()
    settings = resolved.read(run_dir.settings)
    who = {"node": place.node_rank, "program": name, "rank": place.rank}
    logs.setup("json", sys.stderr, {"run": settings.run.name, **_attempt(run_dir), **who})
    _set_signals()
    failure: JobError | None = None
    try:
        body(run_dir, settings)
    except Exception as error:  # noqa: BLE001 - the outcome of a program is whatever ended it
        failure = _failure(error)
    _log(failure)
    run_dirs.write_json(run_dir.outcome(name, place.rank), _outcome(failure) | {"time": time.time(), "rank": place.rank})
    logging.shutdown()
    sys.stderr.flush()
    # No clean-up of process groups: a peer may be gone, and tearing down would wait for it.
    os._exit(failure.exit_code if failure else COMPLETE)


def _failure(error: Exception) -> JobError:
    """The outcome; where nobody knew how to go on without memory, the answer is a person's: smaller pieces."""
    if "torch" in sys.modules:
        from job.workers.engine.shortage import no_memory_left, too_large

        if not isinstance(error, JobError) and no_memory_left(error):
            outcome = too_large("", error)
            outcome.__cause__ = error
            return outcome
    return as_job_error(error)


def _attempt(run_dir: RunDir) -> dict[str, object]:
    """The attempt's number for the log; a program that is started by hand has none."""
    return {"attempt": run_dirs.read_json(run_dir.attempt)["number"]} if run_dir.attempt.exists() else {}


def _log(failure: JobError | None) -> None:
    if isinstance(failure, StopRequested):
        logger.info("stopped: %s", failure.message)
    elif failure:
        logger.error("ended: %s", failure, exc_info=failure.__cause__)


def _outcome(failure: JobError | None) -> dict[str, object]:
    if failure is None:
        return {"code": COMPLETE}
    lost = any(words in failure.message for words in PEER_LOST)
    return {"code": failure.exit_code, "name": failure.name, "message": failure.message, "hint": failure.hint, "peer_lost": lost}


def _set_signals() -> None:
    for ignored in IGNORED_SIGNALS:
        signal.signal(ignored, signal.SIG_IGN)
    # The launcher starts its workers with these blocked, until they are ignored.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED_SIGNALS)
    faulthandler.register(DUMP_SIGNAL, all_threads=True)
    collective_trace.log_when_asked()


class Heartbeat:
    """Tells the watchdog that this worker made progress."""

    def __init__(self, run_dir: RunDir, program: str, rank: int) -> None:
        self._path = run_dir.heartbeat(program, rank)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.beat()

    def beat(self) -> None:
        self._path.touch()
