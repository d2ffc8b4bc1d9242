"""Evaluation during training: score the validation split, keep the best weights."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from job.settings.evaluation import EvalSettings
from job.workers.engine import Engine
from job.workers.scoring import Examples, read_samples, score
from job.workers.state import BestMetric, TrainState
from job.workers.tasks.base import Task

logger = logging.getLogger(__name__)


def best_metric(settings: EvalSettings, task: Task) -> BestMetric:
    """The metric that the settings mean.  Raises `SettingsError` for a name the task does not have."""
    if settings.best_metric == "none":
        return BestMetric(None)
    name = task.main_metric() if settings.best_metric == "auto" else settings.best_metric
    return BestMetric(name, task.greater_is_better(name))


@dataclass(frozen=True)
class Validation:
    """Scores the validation split and updates the training state.

    Attributes:
        model: the plain model on the engine's device.
        keep_going: agreed over the ranks; False abandons the evaluation.
        keep_best: called on every rank when the current weights are the best so far.
        record: takes the metric record, on the main process.
    """

    engine: Engine
    settings: EvalSettings
    model: torch.nn.Module
    examples: Examples
    best: BestMetric
    keep_going: Callable[[], bool]
    keep_best: Callable[[], None]
    record: Callable[[dict[str, Any]], None]

    def __call__(self, state: TrainState) -> bool:
        """Evaluate after ``state.step`` steps; False when a stop request interrupted it, and nothing changed."""
        scores = score(self.engine, self.model, self.examples, self.keep_going)
        metrics = self.engine.broadcast(self.examples.task.metrics(scores) if scores is not None else None)
        if metrics is None:
            return False
        state.evaluated_step = state.step
        if self.best.name is not None:
            value = metrics[self.best.name]
            improved = state.observe(
                value, greater_is_better=self.best.greater_is_better, min_delta=self.settings.early_stopping_min_delta
            )
            if improved:
                self.keep_best()
        samples = read_samples(self.engine, self.examples.task, self.model)
        numbers = {f"eval/{name}": value for name, value in metrics.items() if isinstance(value, int | float)}
        self.record({**numbers, "samples": samples} if samples else numbers)
        return True
