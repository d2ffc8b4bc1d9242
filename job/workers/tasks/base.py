"""What a task has to say for itself in training; everything else is the same loop for all tasks.

A task is three parts, found by its name in `job.workers.tasks.TASKS`: a `Preparation` turns rows into records (the prepare
program), a `Task` trains and scores (train and evaluate), an `Appraisal` says what the finished model is worth (evaluate).

Records are the rows of the prepared data set.  All need ``id`` and ``length`` (tokens, by which steps are cut into
micro-batches); the rest is the task's own.

Shapes: B records of a micro-batch, T tokens of the longest, N records of a split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch

from job.records import PreparedData

if TYPE_CHECKING:  # for annotations alone: the engine brings accelerate
    from job.workers.engine import Engine

Tensors = dict[str, torch.Tensor]
Scores = Mapping[str, Any]
"""What `Task.measure` found, by name: arrays [N, ...] or lists of N, in the order of the split, each record exactly once."""
NOT_TRAINING = -1
"""The epoch of a batch that is scored."""


@dataclass(frozen=True)
class Batch:
    """One micro-batch.

    ``inputs`` go to the model as keywords.  ``labels`` are the targets, of whatever shape the task needs.  ``weights`` is the
    share of each target in the loss: [B] where each example has one loss, [B, T] where each token has (0 for a token that is
    not trained on).  All are 0 in a filler that keeps ranks in step.  Their sum over the step, all ranks and micro-batches, is
    what the loss is divided by, and is known before the first forward pass.  ``extras`` is what the loss needs and the model
    does not.
    """

    inputs: Tensors
    labels: torch.Tensor
    weights: torch.Tensor
    extras: Tensors = field(default_factory=dict)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""

        def moved(tensors: Tensors) -> Tensors:
            return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}

        labels, weights = moved({"labels": self.labels, "weights": self.weights}).values()
        return Batch(moved(self.inputs), labels, weights, moved(self.extras))


class Task(Protocol):
    """One way to teach a model, made with the settings, the record of the prepared data, and the prepared tokenizer.

    A task derives from this class and overrides what has no body; it reads no random state but torch's inside of `loss_sum`.
    """

    prepared: PreparedData
    indivisible: bool = False
    """A rank's share of a step has to be one micro-batch, because the losses of its examples depend on one another."""
    collective: bool = False
    """Ranks meet inside of a forward pass, so none can give up a micro-batch by itself."""

    def main_metric(self) -> str:
        """Name of the metric that ``best_metric=auto`` means and that carries the confidence interval."""
        ...

    def greater_is_better(self, metric: str) -> bool:
        """Direction of a metric.  Raises `SettingsError` naming the valid ones for an unknown name."""
        ...

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module:
        """The model with the task's head (`weights.load_model`), from a local folder, fp32, on CPU; new weights from torch's seed."""
        ...

    def enrich(self, dataset: Any, start: Callable[[], torch.nn.Module], engine: Engine, beat: Callable[[], None]) -> Any:
        """Add to the records of a split what only the start model can say (reference log-probabilities); a collective.

        Args:
            dataset: the prepared split, a `datasets.Dataset` of N records.
            start: the plain model before any training and without a new adapter, in whatever mode, on whatever device.
            engine: the group.
            beat: to be called while it lasts, as often on every rank, so that the watchdog sees progress; raises `StopRequested` on all
                ranks when a stop is asked for.

        Returns:
            A data set of the same records in the same order.
        """
        return dataset

    def collate(self, rows: Sequence[Mapping[str, Any]], epoch: int = NOT_TRAINING) -> Batch:
        """B records as a batch, padded to their longest.

        What is drawn at random here (masks) is drawn from (``JOB_RUN__SEED``, ``epoch``, the record's id) and nothing else:
        batches are made in any process, in any order, and again after a continuation.
        """
        ...

    def foresee(self, model: torch.nn.Module, batches: Sequence[Batch], engine: Engine) -> Sequence[Batch]:
        """Look at this rank's whole share of a step before the first loss of it is taken; a collective.

        For losses in which examples of the step depend on one another, over micro-batches and ranks.  What is drawn here from
        torch's generator is drawn again in `loss_sum`, which is called on the returned batches in their order.

        Args:
            model: the engine's (wrapped) model, in training mode.
            batches: not yet on the device; as many on every rank.
            engine: the group.

        Returns:
            ``batches`` itself when there was nothing to look at; else new ones, with what `loss_sum` has to know in ``extras``.
        """
        return batches

    def loss_sum(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Forward pass, and the sum over the batch of weight × loss: a float32 scalar with a gradient, also for a filler.

        The loop divides by the step's sum of weights.  ``model`` is the engine's (wrapped) model, called once, or the plain one.
        """
        ...

    def measure(self, model: torch.nn.Module, batch: Batch) -> Mapping[str, Any]:
        """Forward pass in evaluation mode: what is kept of each record, arrays [B, ...] or lists of B on the CPU.

        Called without gradients, under the engine's precision, on each record of the split once, whatever the ranks: sums over
        records count nothing twice.  Arrays have one trailing shape over the whole split; what is ragged goes into a list.
        """
        ...

    def metrics(self, scores: Scores) -> dict[str, Any]:
        """All metrics of N records; plain numbers and lists, JSON-ready.  Raises `HopelessError` when they are not finite."""
        ...

    def samples(self, model: torch.nn.Module) -> list[dict[str, str]]:
        """Pieces of text to read after an evaluation (answers to fixed prompts), ``{"title", "text"}``, the same on all ranks.

        Called on all ranks in evaluation mode, without gradients, under the engine's precision.
        """
        return []
