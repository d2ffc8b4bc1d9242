"""Kills of runs that are not like the matrix's usual one: dropout, accumulation, data workers, engines, and numbers of processes that change."""

from __future__ import annotations

import itertools
import random
import signal

from tests.faults.bench import Subject, send, wait, wait_for_any
from tests.faults.outcome import Outcome, sleep

DROPOUT = {"0": "plain", "0.1": "dropout"}
ENGINES = {"ddp": {}, "deepspeed": {"PARALLEL__ENGINE": "deepspeed", "PARALLEL__ZERO_STAGE": "2"}}
VARIANTS = [*itertools.product(DROPOUT, ("1", "4"), ("0", "2"), ENGINES)]
"""(dropout, micro-batches of a rank's part of a step, data workers, engine)"""
EVERY = "7"
"""Steps between checkpoints: no divisor of an epoch's 17, so that kills fall into the middle of one."""
WORLDS = ("2", "1", "2")
ROUNDING = 1e-4
"""Of each tensor's largest weight: what other sums may come to after some dozen steps."""


def resumed(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """SIGKILL of everything in the middle of an epoch; twice, then the run is left to finish."""
    dropout, cut, data_workers, engine = VARIANTS[subject.seed % len(VARIANTS)]
    subject.variant = {
        "MODEL__URI": str(subject.inputs.folder / ("model" if dropout != "0" else "model-plain")),
        "TRAIN__MICRO_BATCH_SIZE": str(8 // int(cut)),
        "TRAIN__DATA_WORKERS": data_workers,
        "CHECKPOINT__EVERY_STEPS": EVERY,
        **ENGINES[engine],
    }
    what = f"{DROPOUT[dropout]}, {cut} micro-batches, {data_workers} data workers, {engine}"
    return _killed_after_a_commit(subject, draw, span_s, what)


def other_world(subject: Subject, draw: random.Random, span_s: float) -> Outcome:
    """Two processes, then one, then two again, each killed after a commit of its own."""
    world = WORLDS[subject.starts % len(WORLDS)]
    subject.changes = {"PARALLEL__WORKERS_PER_NODE": world}
    subject.variant, subject.tolerance = subject.inputs.plain, ROUNDING
    return _killed_after_a_commit(subject, draw, span_s / 4, f"{world} processes")


def _killed_after_a_commit(subject: Subject, draw: random.Random, span_s: float, what: str) -> Outcome:
    before = len(subject.committed_steps())
    process = subject.start()
    if not wait_for_any(lambda: len(subject.committed_steps()) > before, process):
        return (
            Outcome(hit=False, done=True)
            if wait(process) == 0
            else Outcome(hit=False, violations=[f"{what}: {process.returncode}"])
        )
    if not sleep(process, draw.uniform(0, span_s / 8)):
        return Outcome(hit=False, done=True)
    send([process.pid, *subject.workers()], signal.SIGKILL)
    wait(process)
    trained, committed = subject.last_step(), max(subject.committed_steps(), default=0)
    return Outcome(hit=True, what=f"{what}, killed at step {trained}", kind=what, lost_steps=max(0, trained - committed))
