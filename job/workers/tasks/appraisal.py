"""What a task has to say about its finished model: whether it loads as a user will load it, and what its score is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import torch

from job.settings.evaluation import EvalSettings
from job.workers.tasks.base import Scores


@dataclass(frozen=True)
class Findings:
    """What is kept of each of N scored records.

    Attributes:
        table: ``predictions.parquet``, N rows, at least ``id``; its schema's metadata says what the columns mean.
        mistakes: records worth looking at, worst first: ``id``, ``text``, ``label``, ``prediction``, ``score`` (a number).
    """

    table: pa.Table
    mistakes: list[dict[str, Any]] = field(default_factory=list)


class Appraisal(Protocol):
    """The evaluate program's side of a task, made with the task's own `Task`.

    The score of the model before training stands beside the finished one's without anything said here.
    """

    pipeline_tag: str
    """The Hub's name of what the model does, for the model card."""
    usage: str
    """Python that uses the model; ``{model}`` stands for its name."""

    def load_published(self, folder: Any) -> torch.nn.Module:
        """The model as a user will load it (`weights.load_published`).

        Raises:
            CrashError: when it does not load whole, or is not what was trained.
        """
        ...

    def check_tokenizer(self, tokenizer: Any, dataset: Any) -> None:
        """Tokenize a few records anew, as a user of the published folder will.

        Raises:
            CrashError: when they are not the tokens that the model was trained on.
        """
        ...

    def interval(self, scores: Scores, settings: EvalSettings, seed: int) -> dict[str, Any]:
        """Confidence interval of the main metric: metric, value, low, high, level, samples (`metrics.interval`)."""
        ...

    def baselines(self, scores: Scores, train: Any) -> Mapping[str, Mapping[str, Any]]:
        """Metrics of answers that need no model, by name (``majority``); ``train`` is the training split."""
        ...

    def predictions(self, scores: Scores, dataset: Any) -> Findings:
        """What is kept of each record of the scored split."""
        ...
