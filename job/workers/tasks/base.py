"""What a task has to say for itself; everything else is the same loop for all tasks.

Shapes: B examples of a micro-batch, C labels (1 for regression), N examples of a split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from job.records import PreparedData


@dataclass(frozen=True)
class Batch:
    """One micro-batch: ``inputs`` go to the model as keywords; ``labels`` [B] or [B, C].

    ``weights`` [B] is the share of each example in the loss, 0 for a filler that keeps ranks in step.
    """

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor
    weights: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        return Batch(moved, self.labels.to(device, non_blocking=True), self.weights.to(device, non_blocking=True))


class Task(Protocol):
    """One way to teach a model.  Objects are made by ``make_task(settings, prepared)`` in ``job/workers/tasks``."""

    prepared: PreparedData

    def main_metric(self) -> str:
        """Name of the metric that ``best_metric=auto`` means and that carries the confidence interval."""
        ...

    def greater_is_better(self, metric: str) -> bool:
        """Direction of a metric.  Raises `SettingsError` naming the valid ones for an unknown name."""
        ...

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module:
        """The model with a head for this task, from a local folder, fp32, on CPU; new weights from torch's seed."""
        ...

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Rows of the prepared data, padded to their longest, as a batch."""
        ...

    def loss_sum(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Sum over the batch of weight × loss, a float32 scalar; the loop divides by the step's sum of weights."""
        ...

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """All metrics of N examples from logits [N, C] and labels [N] or [N, C]; plain numbers and lists, JSON-ready."""
        ...
