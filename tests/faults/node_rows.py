"""Two nodes of one process each: one is lost, stopped, or cannot upload its part of a checkpoint."""

from __future__ import annotations

import random
import signal
import subprocess

from job.cluster import launch
from tests.faults import store_rows
from tests.faults.bench import NAME, Subject, send, wait
from tests.faults.outcome import Outcome, sleep
from tests.faults.store import Trouble
from tests.support.servers.scripted import Fault

PLACES = ("here", "there")
PART_TROUBLE = {
    "500 once": (Trouble(Fault("", 500, "InternalError"), 1, methods="PUT", where="/parts/"), {0}),
    "reset after it was done, once": (Trouble(Fault("", done=True), 1, methods="PUT", where="/parts/"), {0}),
    "refused for good": (Trouble(Fault("", 403, "AccessDenied"), 1, methods="PUT", where="/parts/", once=False), {77}),
    "failing for good": (Trouble(Fault("", 500, "InternalError"), 1, methods="PUT", where="/parts/", once=False), {69}),
}


def node_lost(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """SIGKILL of one node with its worker, or SIGTERM to one of the two: both end, with a code that is tried again."""
    victim, number = draw.randrange(2), draw.choice([signal.SIGKILL, signal.SIGTERM])
    nodes = _start(subject)
    if not sleep(nodes[0], draw.uniform(0, span_s)):
        return _ended(subject, nodes)
    send([nodes[victim].pid, *(_workers(subject, victim) if number == signal.SIGKILL else [])], number)
    codes = [wait(node) for node in nodes]
    trained, committed = subject.last_step(), max(subject.committed_steps(), default=0)
    other = codes[1 - victim]
    wrong = other not in {0, 69, 70} or codes[victim] != -9 if number == signal.SIGKILL else not set(codes) <= {0, 75}
    said = [f"{number.name} to node {victim}: the nodes ended with {codes}"] if wrong else []
    if 75 in codes and trained > committed:
        said.append(f"75 with step {trained} trained and {committed} committed")
    what = f"{number.name} to node {victim}: {codes}"
    return Outcome(
        hit=True, what=what, kind=f"{number.name} to node {victim}", violations=said, lost_steps=max(0, trained - committed)
    )


def part_not_delivered(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """One node's upload of its part fails: nothing counts that is not whole."""
    kind = sorted(PART_TROUBLE)[subject.starts // 2 % len(PART_TROUBLE)]
    trouble, expected = PART_TROUBLE[kind]
    server = store_rows.serve(subject)
    subject.changes = {**subject.changes, "CHECKPOINT__MAX_FAILED_UPLOADS": "2", "CHECKPOINT__PARTS_TIMEOUT_S": "20"}
    server.plan(Trouble(trouble.fault, draw.randint(1, 3), trouble.methods, trouble.where, trouble.once))
    codes = {wait(node) for node in _start(subject)}
    hit = bool(server.hits)
    server.plan(None)
    said = [] if codes == expected or (not hit and codes == {0}) else [f"{kind}: the nodes ended with {codes}"]
    return Outcome(hit=hit, what=f"{kind}: {codes}", kind=kind, violations=said, done=codes == {0})


def finish(subject: Subject) -> int:
    """Start both nodes and wait; the main node's code, or the other's where that one failed."""
    codes = [wait(node) for node in _start(subject)]
    return codes[0] or codes[1]


def _start(subject: Subject) -> list[subprocess.Popen[bytes]]:
    subject.finish_with = finish
    shared = {
        "PARALLEL__NUM_NODES": "2",
        "PARALLEL__WORKERS_PER_NODE": "1",
        "PARALLEL__THREADS_PER_WORKER": "1",
        "PARALLEL__MAIN_ADDRESS": "127.0.0.1",
        "PARALLEL__MAIN_PORT": str(launch.free_port()),
        "PARALLEL__NODE_TIMEOUT_S": "5",
    }
    before = dict(subject.changes)
    nodes = []
    for rank, place in enumerate(PLACES):
        subject.changes = {**before, **shared, "PARALLEL__NODE_RANK": str(rank)}
        nodes.append(subject.start(place))
    subject.changes = before
    return nodes


def _workers(subject: Subject, rank: int) -> list[int]:
    return launch.workers_of(subject.folder / PLACES[rank] / (f"{NAME}.node-{rank}" if rank else NAME))


def _ended(subject: Subject, nodes: list[subprocess.Popen[bytes]]) -> Outcome:
    codes = [wait(node) for node in nodes]
    return Outcome(
        hit=False, violations=[] if codes == [0, 0] else [f"left alone, the nodes ended with {codes}"], done=codes == [0, 0]
    )
