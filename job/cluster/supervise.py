"""Run a worker program on this node to its end: watch it, feed its progress, stop it, and say how it ended."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from job import run_dir as run_dirs
from job.cluster import launch
from job.cluster.group import NodeGroup
from job.cluster.interface import interface_of
from job.cluster.launch import Rendezvous
from job.cluster.stop import StopRequest
from job.cluster.topology import Topology
from job.cluster.watchdog import Watchdog
from job.errors import COMPLETE, ERRORS, CrashError, LocalIOError, StalledError, StopRequested
from job.run_dir import RunDir

logger = logging.getLogger(__name__)
POLL_S = 0.1
LOG_TAIL = 12
"""Last lines of a program's log that go into the message when it left no outcome."""


PEER_GRACE_S = 10.0
"""How long workers may take to end by themselves once others of the group have failed."""


@dataclass(frozen=True)
class Crew:
    """Everything needed to run worker programs on this node, and the nodes it runs them with."""

    run_dir: RunDir
    topology: Topology
    stop: StopRequest
    environ: Mapping[str, str]
    stall_timeout_s: float
    grace_s: float = 30.0
    group: NodeGroup = field(default_factory=NodeGroup)

    def single(self) -> Crew:
        """The same node without the others and with one worker, which has the threads of all."""
        shape = self.topology
        threads = shape.threads_per_worker * shape.workers_per_node
        return replace(self.alone(), topology=replace(self.alone().topology, workers_per_node=1, threads_per_worker=threads))

    def alone(self) -> Crew:
        """The same node with all its workers and without the others."""
        return replace(self, topology=replace(self.topology, num_nodes=1, node_rank=0), group=NodeGroup())


def run(crew: Crew, program: str, tick: Callable[[], None] = lambda: None, *, saves: bool = False) -> None:
    """Run ``job.workers.<program>`` to its end, on all nodes of the crew together.

    Args:
        crew: where and with what.
        program: module name below ``job.workers``.
        tick: called about ten times a second while it runs.
        saves: whether the program itself answers a stop request (training does, by saving); others are ended.

    Raises:
        JobError: the outcome, when it is not success; on several nodes the same one on each, unless a node was lost.
    """
    crew.stop.check()
    crew.run_dir.clear_program(program)
    watch = _Watch(crew, program, Watchdog(crew.run_dir, program, crew.stall_timeout_s), tick, saves)
    planned = launch.plan(program, crew.run_dir.root, crew.topology, crew.environ, _rendezvous(crew, program))
    shutdown = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(int(max(1.0, crew.grace_s - 2 * crew.stop.pace.upload_s)))}
    process = launch.start(replace(planned, environ={**planned.environ, **shutdown}), crew.run_dir.log(program))
    try:
        ended_for_others = watch.wait(process)
        # The launcher stays until all nodes have seen their workers end: on the main node it holds the workers' store.
        report = _report(crew, program, process, expects_all=not ended_for_others)
        reports = crew.group.exchange(watch.topic, report, tick)
    finally:
        launch.end(process, crew.run_dir.root)
    tick()
    _raise_outcome(crew, reports)


def _rendezvous(crew: Crew, program: str) -> Rendezvous:
    """A port of the main node that is free now, told to all: two runs on one machine never want the same."""
    group = crew.group
    if group.num_nodes == 1:
        return Rendezvous()
    port = group.exchange(f"port for {program}", launch.free_port() if group.is_main else None, crew.stop.check)[0]
    return Rendezvous(group.main_address, port, interface_of(group.local_address))


@dataclass
class _Watch:
    """The wait for one program on this node."""

    crew: Crew
    program: str
    watchdog: Watchdog
    tick: Callable[[], None]
    saves: bool
    failed_at: float | None = None

    @property
    def topic(self) -> str:
        return f"end of {self.program}"

    def wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Until the workers have ended; true when they are to be ended because others of the group failed."""
        while process.poll() is None and not self._all_said():
            self.tick()
            self._raise_failure()
            if self.crew.stop.seen() and not self.saves:
                self.crew.stop.check()
            if self.watchdog.stalled():
                self.watchdog.dump_stacks()
                raise StalledError(
                    f"No worker of `{self.program}` made progress for {self.crew.stall_timeout_s:.0f} s; their stacks and last "
                    f"collectives are in {self.crew.run_dir.log(self.program)}.",
                    "Look for the rank that stands elsewhere than the others; raise JOB_LIMITS__STALL_TIMEOUT_S when a single step may take that long.",
                )
            if self._others_failed():
                return True
            time.sleep(POLL_S)
        return False

    def _all_said(self) -> bool:
        """Whether every worker of this node has left its outcome: launchers of several nodes may wait for each other long after."""
        return (
            self.crew.group.num_nodes > 1
            and len(list(self.crew.run_dir.outcomes(self.program))) == self.crew.topology.workers_per_node
        )

    def _raise_failure(self) -> None:
        """Raise what ended another node; a stall is looked for on this one too."""
        if isinstance(self.crew.stop.failure, StalledError):
            self.watchdog.dump_stacks()
        self.crew.stop.raise_failure()

    def _others_failed(self) -> bool:
        """Whether other nodes' workers failed, and the time for this node's to notice is over."""
        failed = any(_is_failure(report) for report in self.crew.group.given(self.topic).values())
        if failed and self.failed_at is None:
            self.failed_at = time.monotonic()
        return self.failed_at is not None and time.monotonic() - self.failed_at > PEER_GRACE_S


def _report(crew: Crew, program: str, process: subprocess.Popen[bytes], *, expects_all: bool) -> dict[str, Any]:
    """What this node's workers left, for all nodes: their outcomes, and the last words when some left none."""
    records = list(crew.run_dir.outcomes(program))
    vanished = expects_all and len(records) < crew.topology.workers_per_node
    words, disk = "", ""
    if vanished:
        words = _last_words(program, process, crew.run_dir.log(program))
        # Who finds no room for a record of how it ended has none for its log either.
        disk = run_dirs.refused_write(crew.run_dir.root)
    return {"records": records, "vanished": words, "disk": disk}


def _is_failure(report: Mapping[str, Any]) -> bool:
    return bool(report["vanished"]) or any(
        record["code"] not in (COMPLETE, StopRequested.exit_code) for record in report["records"]
    )


def _raise_outcome(crew: Crew, reports: Sequence[Mapping[str, Any]]) -> None:
    """Raise what the workers of all nodes left: of several failures the first one, for the others follow from it.

    That a peer was lost is never the first: the peer's own failure is, or that it vanished without a word.
    """
    where = [f"On {crew.group.name(node)}: " if len(reports) > 1 else "" for node in range(len(reports))]
    said = [{**record, "where": where[node]} for node, report in enumerate(reports) for record in report["records"]]
    failures = sorted((record for record in said if record["code"]), key=lambda record: (record["peer_lost"], record["time"]))
    vanished = [(where[node] + report["vanished"], report["disk"]) for node, report in enumerate(reports) if report["vanished"]]
    if vanished and (not failures or failures[0]["peer_lost"]):
        _raise_vanished(*vanished[0])
    if failures:
        first = failures[0]
        # A stop is everybody's: where it was seen first says nothing.
        shown = "" if first["code"] == StopRequested.exit_code else first["where"]
        raise ERRORS.get(first["code"], CrashError)(shown + first["message"], first["hint"])


def _raise_vanished(words: str, disk: str) -> NoReturn:
    if disk:
        raise LocalIOError(
            f"The disk of the run directory takes nothing more ({disk}). {words}",
            "Free space, or point JOB_RUN__DIR at a larger disk; the run continues from its last commit.",
        )
    raise CrashError(
        words, "Most often the system ran out of memory: lower JOB_TRAIN__MICRO_BATCH_TOKENS or give the job more memory."
    )


def _last_words(program: str, process: subprocess.Popen[bytes], log: Path) -> str:
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:]) if log.exists() else ""
    code = process.returncode
    killed = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
    return f"A worker of `{program}` vanished without an outcome (its launcher {killed}). Its last lines:\n{tail}"
