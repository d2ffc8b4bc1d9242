"""Text classification: one label of several, any number of labels, or a number, from one text or a pair.

Shapes: B examples, T tokens of the longest, C labels (1 for regression), N examples of a split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from job.errors import HopelessError, SettingsError
from job.records import PreparedData
from job.settings.root import Settings
from job.workers.metrics import table
from job.workers.tasks.base import Batch
from job.workers.weights import Head, load_model

_PROBLEM_TYPES = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}
_NUMBER = "LABEL_0"
"""transformers' own name for the single output of a regression."""
_GPU_MULTIPLE = 8
"""Tensor cores want sizes in multiples of this; a CPU computes every padded column for nothing."""


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits, labels, reduction="none")


def _binary_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=-1)


def _squared_error(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (logits.squeeze(-1) - labels).square()


_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "single_label": _cross_entropy,
    "multi_label": _binary_cross_entropy,
    "regression": _squared_error,
}


class TextClassification:
    """The task protocol of `job.workers.tasks.base`, for text classification."""

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        self.prepared = prepared
        self._tokenizer = tokenizer
        self._loss = _LOSSES[prepared.problem]
        self._class_weights = _class_weights(settings, prepared)
        on_gpu = settings.parallel.device != "cpu" and torch.cuda.is_available()
        self._multiple = _GPU_MULTIPLE if on_gpu else 1

    def main_metric(self) -> str:
        return table.main_metric(self.prepared.problem)

    def greater_is_better(self, metric: str) -> bool:
        return table.greater_is_better(self.prepared.problem, metric)

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module:
        head = Head(tuple(self.prepared.labels) or (_NUMBER,), _PROBLEM_TYPES[self.prepared.problem])
        model: torch.nn.Module = load_model(Path(folder), self._tokenizer, head, from_config=from_config).model
        return model

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        ids = [row["input_ids"] for row in rows]
        inputs = {
            "input_ids": self._pad(ids, self._tokenizer.pad_token_id),
            "attention_mask": self._pad([np.ones(len(each), np.int64) for each in ids], 0),
        }
        if "token_type_ids" in rows[0]:
            inputs["token_type_ids"] = self._pad([row["token_type_ids"] for row in rows], self._tokenizer.pad_token_type_id)
        kind = torch.int64 if self.prepared.problem == "single_label" else torch.float32
        labels = torch.as_tensor(np.asarray([row["label"] for row in rows]), dtype=kind)
        weights = torch.ones(len(rows)) if self._class_weights is None else self._class_weights[labels]
        return Batch(inputs, labels, weights)

    def loss_sum(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        # Float32 whatever autocast made of the logits: a sum over a step in bfloat16 would keep two digits.
        with torch.autocast(logits.device.type, enabled=False):
            return (self._loss(logits.float(), batch.labels) * batch.weights).sum()

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        broken = int((~np.isfinite(logits)).any(axis=1).sum())
        if broken:
            raise HopelessError(
                f"The model's output is not a finite number for {broken} of {len(logits)} examples: training has diverged.",
                "Lower JOB_TRAIN__LEARNING_RATE, or set JOB_TRAIN__PRECISION=fp32.",
            )
        return table.compute(self.prepared.problem, logits, labels, self.prepared.labels)

    def _pad(self, rows: Sequence[Any], value: int) -> torch.Tensor:
        """Rows of unlike length as [B, T], filled at the tokenizer's padding side."""
        longest = -(-max(map(len, rows)) // self._multiple) * self._multiple
        padded = np.full((len(rows), longest), value, dtype=np.int64)
        for at, row in enumerate(rows):
            start = 0 if self._tokenizer.padding_side == "right" else longest - len(row)
            padded[at, start : start + len(row)] = row
        return torch.from_numpy(padded)


def _class_weights(settings: Settings, prepared: PreparedData) -> torch.Tensor | None:
    """Weight [C] of each class, N / (C·n_c) over the C classes that occur: their mean over the training data is 1."""
    if settings.train.class_weights == "none":
        return None
    if prepared.problem != "single_label":
        raise SettingsError(
            f"JOB_TRAIN__CLASS_WEIGHTS=balanced needs one label per example; this data is {prepared.problem}.",
            "Leave JOB_TRAIN__CLASS_WEIGHTS out.",
        )
    counts = torch.tensor(prepared.label_counts, dtype=torch.float64)
    occurring = counts > 0
    weights = counts.sum() / (occurring.sum() * counts.clamp(min=1))
    return torch.where(occurring, weights, 1.0).float()
