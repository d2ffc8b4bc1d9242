"""The driver: disturbs runs row by row, starts them again as a scheduler would, and checks after each fault and at the end."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import invariants
from tests.faults.bench import Inputs, Subject
from tests.faults.matrix import ROWS
from tests.faults.memory import Memory
from tests.faults.peak import Peak

FAULTS_PER_RUN = 6
"""After so many faults a run is left to finish; fewer where time is short."""
COLD_SHARE = 0.04
"""Of the runs, start every program with an interpreter of its own; the others fork them (`tests.support.warm`)."""


@dataclass
class Result:
    """One fault, as it is kept: with row and seed it can be made again."""

    row: str
    seed: int
    what: str
    kind: str
    hit: bool
    seconds: float
    lost_steps: int | None = None
    local_bytes: int = 0
    cold: bool = False
    violations: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Reference:
    """A run that nothing disturbed, and the seconds it took."""

    subject: Subject
    span_s: float


@dataclass
class Driver:
    """Runs below ``folder``, compared with undisturbed ones.  A share of them starts with interpreters of its own."""

    folder: Path
    inputs: Inputs
    references: dict[str, Reference] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path) -> Driver:
        return cls(folder, Inputs.make(folder / "inputs"))

    def reference(self, variant: Mapping[str, str], *, cold: bool = False) -> Reference:
        """The undisturbed run of a variant: made once."""
        name = json.dumps([*sorted(variant.items()), cold])
        if name not in self.references:
            subject = Subject(self.inputs, self.folder / f"undisturbed-{len(self.references)}", variant=variant, cold=cold)
            began = time.monotonic()
            code = subject.finish()
            assert code == 0, subject.log().read_text()
            assert check(subject, Memory()) == []
            self.references[name] = Reference(subject, time.monotonic() - began)
            if not variant and not cold:  # the first of all has waited for the imports, too
                self.references[name] = Reference(subject, self._span())
        return self.references[name]

    def _span(self) -> float:
        """Seconds of one more undisturbed run: moments drawn from a longer time would mostly find that the run has ended."""
        subject = Subject(self.inputs, self.folder / "undisturbed-again")
        began = time.monotonic()
        assert subject.finish() == 0, subject.log().read_text()
        return time.monotonic() - began

    def faults(self, row: str, seed: int, most: int = FAULTS_PER_RUN, lacking: Counter[str] | None = None) -> Iterator[Result]:
        """Disturb one run, drawn from ``seed``, at most ``most`` times, and let it finish; a result for each fault.

        ``lacking`` says of which kinds the row wants how many more.  The last result carries what is wrong with the finished run.
        """
        draw = random.Random(f"{row} {seed}")
        cold = draw.random() < COLD_SHARE
        subject = Subject(self.inputs, self.folder / f"{row}-{seed}", seed=seed, cold=cold)
        subject.lacking = Counter(lacking)
        undisturbed, memory = self.reference({}, cold=cold), Memory()
        found: Result | None = None
        wrong = False
        for _ in range(most):
            began = time.monotonic()
            with Peak(subject) as peak:
                outcome = ROWS[row].fault(subject, draw, undisturbed.span_s)
            subject.lacking[outcome.kind] -= outcome.hit
            if found is not None:
                wrong |= bool(found.violations)
                yield found
            found = Result(row, seed, outcome.what, outcome.kind, outcome.hit, round(time.monotonic() - began, 1))
            found.cold, found.lost_steps, found.local_bytes = cold, outcome.lost_steps, peak.most_bytes
            found.violations += [
                *outcome.violations,
                *check(subject, memory),
                *peak.check(undisturbed.subject, ROWS[row].input_bytes),
            ]
            found.violations += invariants.check_distance(subject, subject.last_step())
            if outcome.done or not outcome.hit:
                break
        assert found is not None
        began = time.monotonic()
        with Peak(subject) as peak:
            found.violations += self._finish(subject, memory)
        found.violations += peak.check(undisturbed.subject, ROWS[row].input_bytes)
        found.local_bytes = max(found.local_bytes, peak.most_bytes)
        found.seconds = round(found.seconds + time.monotonic() - began, 1)
        if not (wrong or found.violations):
            shutil.rmtree(subject.folder)
        subject.close()
        yield found

    def _finish(self, subject: Subject, memory: Memory) -> list[str]:
        """Let the run finish undisturbed and compare."""
        code = 0 if any(entry["kind"] == "complete" for entry in subject.entries()) else subject.finish()
        if code != 0:
            return [f"the run did not finish: {code}"]
        wrong, reference = check(subject, memory), self.reference(subject.variant).subject
        if invariants.check_ending(subject):
            return wrong  # there may be no model to compare
        if subject.weights() != reference.weights() and not invariants.alike(subject, reference):
            wrong.append("the published weights are not those of an undisturbed run")
        return wrong


def check(subject: Subject, memory: Memory) -> list[str]:
    """All that has to hold whenever nothing of a run is running."""
    return [*invariants.check(subject), *invariants.check_ending(subject), *memory.look(subject)]
