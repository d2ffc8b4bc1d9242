"""The driver: disturbs runs row by row, starts them again as a scheduler would, and checks after each fault and at the end."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import invariants
from tests.faults.bench import Inputs, Subject
from tests.faults.matrix import ROWS
from tests.faults.outcome import Outcome

FAULTS_PER_RUN = 6
"""After so many faults a run is left to finish; fewer where time is short."""


@dataclass
class Result:
    """One fault, as it is kept: with row and seed it can be made again."""

    row: str
    seed: int
    what: str
    hit: bool
    seconds: float
    lost_steps: int | None = None
    local_bytes: int = 0
    violations: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Driver:
    """Runs below ``folder``; ``reference`` are the weights of the undisturbed run, ``span_s`` the seconds it took."""

    folder: Path
    inputs: Inputs
    reference: str
    span_s: float

    @classmethod
    def make(cls, folder: Path) -> Driver:
        inputs = Inputs.make(folder / "inputs")
        subject = Subject(inputs, folder / "undisturbed")
        began = time.monotonic()
        code = subject.finish()
        assert code == 0, subject.log().read_text()
        assert invariants.check(subject) == []
        return cls(folder, inputs, subject.weights(), time.monotonic() - began)

    def faults(self, row: str, seed: int, most: int = FAULTS_PER_RUN) -> Iterator[Result]:
        """Disturb one run, drawn from ``seed``, at most ``most`` times, and let it finish; a result for each fault.

        The last result carries what is wrong with the finished run.
        """
        draw = random.Random(f"{row} {seed}")
        subject = Subject(self.inputs, self.folder / f"{row}-{seed}")
        found: Result | None = None
        for _ in range(most):
            began = time.monotonic()
            outcome = ROWS[row].fault(subject, draw, self.span_s)
            if found is not None:
                yield found
            found = self._result(row, seed, subject, outcome, time.monotonic() - began)
            if outcome.done or not outcome.hit:
                break
        assert found is not None
        found.violations += self._finish(subject)
        if not found.violations:
            shutil.rmtree(subject.folder)
        yield found

    def _result(self, row: str, seed: int, subject: Subject, outcome: Outcome, seconds: float) -> Result:
        wrong = [*outcome.violations, *invariants.check(subject), *invariants.check_distance(subject, subject.last_step())]
        size = subject.local_bytes()
        return Result(row, seed, outcome.what, outcome.hit, round(seconds, 1), outcome.lost_steps, size, wrong)

    def _finish(self, subject: Subject) -> list[str]:
        """Let the run finish undisturbed and compare."""
        code = 0 if any(entry["kind"] == "complete" for entry in subject.entries()) else subject.finish()
        if code != 0:
            return [f"the run did not finish: {code}"]
        wrong = invariants.check(subject)
        return wrong + (
            [] if subject.weights() == self.reference else ["the published weights are not those of an undisturbed run"]
        )
