"""Where training stands: everything but tensors that a run needs to go on as if it had never stopped.

The examples of a step and everything drawn at random in it are functions of the step's number (`batching.Schedule`,
`Engine.seed`), so neither a data cursor nor generator states have to be saved.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class BestMetric:
    """The metric that decides which weights are published; ``name`` is None when the last ones are."""

    name: str | None
    greater_is_better: bool = True


@dataclass
class Window:
    """Sums since the last metric record, over all ranks."""

    loss: float = 0.0
    weight: float = 0.0
    tokens: int = 0
    padded_tokens: int = 0
    examples: int = 0
    seconds: float = 0.0
    grad_norm: float = 0.0


@dataclass
class TrainState:
    """Progress of the run.

    ``step`` counts finished optimizer steps; ``best_value`` is None until the first evaluation with a best metric, and
    ``last_value`` where the last one had no finite value; ``loss_scale`` is that of the checkpoint that was written or read last.
    """

    step: int = 0
    evaluated_step: int = -1
    best_step: int = -1
    best_value: float | None = None
    last_value: float | None = None
    evaluations_without_gain: int = 0
    nonfinite_steps: int = 0
    done: bool = False
    seconds: float = 0.0
    loss_scale: dict[str, float] | None = None
    window: Window = field(default_factory=Window)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        window = Window(**values["window"])
        return cls(**{**values, "window": window})

    def observe(self, value: float | None, *, greater_is_better: bool, min_delta: float) -> bool:
        """Take in the best metric's value of an evaluation; True when it is the best so far.

        A value that is undefined (None) or not finite is never the best.
        """
        self.last_value = value if value is not None and math.isfinite(value) else None
        if not self._gained(greater_is_better, min_delta):
            self.evaluations_without_gain += 1
            return False
        self.best_value, self.best_step, self.evaluations_without_gain = self.last_value, self.step, 0
        return True

    def _gained(self, greater_is_better: bool, min_delta: float) -> bool:
        if self.last_value is None or self.best_value is None:
            return self.last_value is not None
        return (self.last_value - self.best_value) * (1 if greater_is_better else -1) > min_delta
