"""Faults inside of training: numbers that are none, a rank that hangs or is slow, a replica that differs, a crash that comes again."""

from __future__ import annotations

import random

from tests.faults.bench import SAVE_EVERY, STEPS_MAX, Subject, wait
from tests.faults.outcome import Outcome
from tests.faults.world_rows import ROUNDING

STALL_S, COLD_STALL_S = 15.0, 40.0
"""What the watchdog is told where a rank hangs; it counts from the start of the workers' interpreters."""
CODES = {"nan": 93, "inf": 93, "hang": 71, "slow": 0, "flip": 70, "memory": 0}


def harmed_rank(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """One rank is harmed at a random step: its code, and nothing of the harm is ever saved."""
    kind, step = sorted(CODES)[subject.seed % len(CODES)], draw.randint(1, STEPS_MAX - 10)
    if kind == "memory":  # it goes on in smaller pieces
        subject.variant, subject.tolerance = subject.inputs.plain, ROUNDING
    stall = str(COLD_STALL_S if subject.cold else STALL_S)
    # For the others the watchdog keeps its usual patience: it counts from the workers' start, which a busy machine draws out.
    subject.changes = {**subject.changes, "LIMITS__STALL_TIMEOUT_S": stall if kind == "hang" else ""}
    code = wait(subject.start(fault=f"worker:{kind}:{step}"))
    # The last micro-batch of a step, in which the ranks wait for each other, can be taken again by a new start only.
    last_piece = kind == "memory" and code == 70 and "while gradients were exchanged" in subject.log().read_text(errors="replace")
    said = [] if code == CODES[kind] or last_piece else [f"{kind} at step {step}: {code} instead of {CODES[kind]}"]
    return Outcome(hit=True, what=f"{kind} from step {step}: {code}", kind=kind, violations=said, done=True)


def crash_loop(subject: Subject, draw: random.Random, _: float) -> Outcome:
    """A crash before the first commit, at every start: after three of them a further start ends with 93, and trains no more."""
    step = draw.randrange(SAVE_EVERY)
    subject.changes = {**subject.changes, "LIMITS__MAX_FRUITLESS_ATTEMPTS": "3"}
    codes = [wait(subject.start(fault=f"worker:crash:{step}")) for _ in range(4)]
    said = [] if codes == [70, 70, 70, 93] else [f"codes {codes}"]
    subject.changes = {**subject.changes, "LIMITS__MAX_FRUITLESS_ATTEMPTS": "0"}
    return Outcome(hit=True, what=f"crash at step {step}: {codes}", violations=said, done=True)  # a run has only one such end
