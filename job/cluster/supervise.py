"""Run a worker program on this node to its end: watch it, feed its progress, stop it, and say how it ended."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from job.cluster import launch
from job.cluster.stop import StopRequest
from job.cluster.topology import Topology
from job.cluster.watchdog import Watchdog
from job.errors import ERRORS, CrashError, JobError, StalledError
from job.run_dir import RunDir

logger = logging.getLogger(__name__)
POLL_S = 0.1
LOG_TAIL = 12
"""Last lines of a program's log that go into the message when it left no outcome."""


@dataclass(frozen=True)
class Crew:
    """Everything needed to run worker programs on this node."""

    run_dir: RunDir
    topology: Topology
    stop: StopRequest
    environ: Mapping[str, str]
    stall_timeout_s: float

    def single(self) -> Crew:
        """The same node with one worker, which has the threads of all."""
        shape = self.topology
        threads = shape.threads_per_worker * shape.workers_per_node
        return replace(self, topology=replace(shape, num_nodes=1, node_rank=0, workers_per_node=1, threads_per_worker=threads))


def run(crew: Crew, program: str, tick: Callable[[], None] = lambda: None, *, saves: bool = False) -> None:
    """Run ``job.workers.<program>`` to its end.

    Args:
        crew: where and with what.
        program: module name below ``job.workers``.
        tick: called about ten times a second while it runs.
        saves: whether the program itself answers a stop request (training does, by saving); others are ended.

    Raises:
        JobError: the outcome, when it is not success.
    """
    crew.stop.check()
    crew.run_dir.clear_program(program)
    log = crew.run_dir.log(program)
    watchdog = Watchdog(crew.run_dir, program, crew.stall_timeout_s)
    process = launch.start(launch.plan(program, crew.run_dir.root, crew.topology, crew.environ), log)
    try:
        while process.poll() is None:
            tick()
            if crew.stop.seen() and not saves:
                crew.stop.check()
            if watchdog.stalled():
                watchdog.dump_stacks()
                raise StalledError(
                    f"No worker of `{program}` made progress for {crew.stall_timeout_s:.0f} s; their stacks are in {log}.",
                    "Look at the stacks; raise JOB_LIMITS__STALL_TIMEOUT_S when a single step may take that long.",
                )
            time.sleep(POLL_S)
    finally:
        launch.end(process, crew.run_dir.root)
    tick()
    _raise_outcome(crew, program, process, log)


def _raise_outcome(crew: Crew, program: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Raise what the workers left: of several failures the first one, for the others follow from it.

    That a peer was lost is never the first: the peer's own failure is, or that it vanished without a word.
    """
    records = list(crew.run_dir.outcomes(program))
    failures = sorted((record for record in records if record["code"]), key=lambda record: (record["peer_lost"], record["time"]))
    vanished = len(records) < crew.topology.workers_per_node
    if vanished and (not failures or failures[0]["peer_lost"]):
        raise _vanished(program, process, log)
    if failures:
        first = failures[0]
        raise ERRORS.get(first["code"], CrashError)(first["message"], first["hint"])


def _vanished(program: str, process: subprocess.Popen[bytes], log: Path) -> JobError:
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:]) if log.exists() else ""
    killed = f"was killed by signal {-process.returncode}" if process.returncode < 0 else f"ended with code {process.returncode}"
    return CrashError(
        f"A worker of `{program}` vanished without an outcome (its launcher {killed}). Its last lines:\n{tail}",
        "Most often the system ran out of memory: lower JOB_TRAIN__MICRO_BATCH_TOKENS or give the job more memory.",
    )
