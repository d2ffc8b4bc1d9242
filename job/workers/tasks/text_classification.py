"""Text classification: one label of several, any number of labels, or a number, from one text or a pair.

Shapes: B examples, T tokens of the longest, C labels (1 for regression), N examples of a split.  Records hold ``id``, ``text``,
``text_sha256``, ``input_ids`` [T], ``token_type_ids`` [T] where the model wants them, ``length``, and ``label``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import List, Value
from torch.nn import functional

from job.errors import CrashError, DataError, HopelessError, SettingsError
from job.records import PreparedData
from job.settings.evaluation import EvalSettings
from job.settings.limits import LimitsSettings
from job.settings.root import Settings
from job.workers.baselines import constant_logits
from job.workers.labels import LabelScheme, check_labels, label_notes, recognise
from job.workers.ledger import Described, count_labels, describe_labels
from job.workers.metrics import table
from job.workers.metrics.interval import main_interval
from job.workers.padding import Padding
from job.workers.predictions import mistakes, predictions_table, read_predictions
from job.workers.readers.base import LABELLED
from job.workers.selection import Selection, check_selection, select
from job.workers.splits import Strata, label_strata
from job.workers.tables import Source
from job.workers.tasks.appraisal import Findings
from job.workers.tasks.base import NOT_TRAINING, Batch, Scores, Task
from job.workers.text_encoding import TextEncoder, check_texts
from job.workers.tokenization import Encoder, TokenizedSplit, TokenizerSetup
from job.workers.weights import Head, load_model, load_published

_PROBLEM_TYPES = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}
LABEL_FEATURES = {"single_label": Value("int64"), "multi_label": List(Value("float32")), "regression": Value("float32")}
_NUMBER = "LABEL_0"
"""transformers' own name for the single output of a regression."""


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


class LabelledTexts:
    """The `Preparation`: labels are recognised in the training data, texts are tokenized and cut to the longest input."""

    roles = LABELLED

    def __init__(self, settings: Settings, setup: TokenizerSetup) -> None:
        self._data = settings.data
        self._setup = setup
        self._scheme = LabelScheme("single_label", "")

    def recognise(self, train: Source) -> list[str]:
        self._scheme = recognise(train, self._data)
        return label_notes(train, self._scheme)

    def select(self, source: Source, limits: LimitsSettings) -> Selection:
        check_labels(source, self._scheme)
        selection = select(source, self._scheme)
        check_selection(source, selection, self._scheme, limits)
        return selection

    def strata(self, train: Source) -> Strata | None:
        return label_strata(train, self._scheme)

    def encoder(self, split: str) -> Encoder:
        return TextEncoder(self._setup, (LABEL_FEATURES[self._scheme.problem], self._scheme.encode))

    def check(self, name: str, split: TokenizedSplit, limits: LimitsSettings) -> None:
        held = sum(count > 0 for count in count_labels(split, self._scheme))
        if name == "train" and held == 1 and len(self._scheme.names) > 1:
            raise DataError(
                "Only one class is left in the training examples after splits and subsets.",
                "Raise JOB_DATA__MAX_TRAIN_EXAMPLES, or give more examples of the other classes.",
            )

    def describe(self, tokenized: Mapping[str, TokenizedSplit], records: Mapping[str, Any]) -> Described:
        return describe_labels(self._scheme, tokenized)

    def facts(self, tokenized: Mapping[str, TokenizedSplit]) -> dict[str, Any]:
        counts = count_labels(tokenized["train"], self._scheme)
        return {"problem": self._scheme.problem, "labels": list(self._scheme.names), "label_counts": counts}


class TextClassification(Task):
    """The `Task`: the logits [B, C] against the labels."""

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        self.prepared = prepared
        self.pairs = settings.data.text_pair_column is not None
        self._tokenizer = tokenizer
        self._loss = _LOSSES[prepared.problem]
        self._class_weights = _class_weights(settings, prepared)
        self._padding = Padding.of(settings, tokenizer)

    def main_metric(self) -> str:
        return table.main_metric(self.prepared.problem)

    def greater_is_better(self, metric: str) -> bool:
        return table.greater_is_better(self.prepared.problem, metric)

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module:
        head = Head(tuple(self.prepared.labels) or (_NUMBER,), _PROBLEM_TYPES[self.prepared.problem])
        model: torch.nn.Module = load_model(Path(folder), self._tokenizer, head, from_config=from_config).model
        return model

    def collate(self, rows: Sequence[Mapping[str, Any]], epoch: int = NOT_TRAINING) -> Batch:
        ids = [row["input_ids"] for row in rows]
        inputs = {
            "input_ids": self._padding.pad(ids, self._tokenizer.pad_token_id),
            "attention_mask": self._padding.pad([np.ones(len(each), np.int64) for each in ids], 0),
        }
        if "token_type_ids" in rows[0]:
            inputs["token_type_ids"] = self._padding.pad([row["token_type_ids"] for row in rows], self._tokenizer.pad_token_type_id)
        kind = torch.int64 if self.prepared.problem == "single_label" else torch.float32
        labels = torch.as_tensor(np.asarray([row["label"] for row in rows]), dtype=kind)
        weights = torch.ones(len(rows)) if self._class_weights is None else self._class_weights[labels]
        return Batch(inputs, labels, weights)

    def loss_sum(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        logits = model(**batch.inputs).logits
        # Float32 whatever autocast made of the logits: a sum over a step in bfloat16 would keep two digits.
        with torch.autocast(logits.device.type, enabled=False):
            return (self._loss(logits.float(), batch.labels) * batch.weights).sum()

    def measure(self, model: torch.nn.Module, batch: Batch) -> Mapping[str, Any]:
        return {"logits": model(**batch.inputs).logits.float().cpu().numpy(), "labels": batch.labels.cpu().numpy()}

    def metrics(self, scores: Scores) -> dict[str, Any]:
        logits, labels = scores["logits"], scores["labels"]
        broken = int((~np.isfinite(logits)).any(axis=1).sum())
        if broken:
            raise HopelessError(
                f"The model's output is not a finite number for {broken} of {len(logits)} examples: training has diverged.",
                "Lower JOB_TRAIN__LEARNING_RATE, or set JOB_TRAIN__PRECISION=fp32.",
            )
        return table.compute(self.prepared.problem, logits, labels, self.prepared.labels)


class ClassificationAppraisal:
    """The `Appraisal`: the constant answer beside the model's, predictions in words, the surest mistakes."""

    pipeline_tag = "text-classification"
    usage = ""

    def __init__(self, task: TextClassification) -> None:
        self._task = task
        self._prepared = task.prepared

    def load_published(self, folder: Path) -> torch.nn.Module:
        model: Any = load_published(folder)
        names = [model.config.id2label[number] for number in range(model.config.num_labels)]
        if self._prepared.labels and names != self._prepared.labels:
            raise CrashError(f"The saved model names its labels {names}; the data has {self._prepared.labels}.")
        found: torch.nn.Module = model
        return found

    def check_tokenizer(self, tokenizer: Any, dataset: Any) -> None:
        if not self._task.pairs:
            check_texts(tokenizer, dataset)

    def interval(self, scores: Scores, settings: EvalSettings, seed: int) -> dict[str, Any]:

        return main_interval(self._prepared.problem, scores["logits"], scores["labels"], settings, seed)

    def baselines(self, scores: Scores, train: Any) -> Mapping[str, Mapping[str, Any]]:
        training_labels = train["label"][:] if self._prepared.problem == "regression" else None
        constant = constant_logits(self._prepared, training_labels, len(scores["labels"]))
        return {"majority": self._task.metrics({"logits": constant, "labels": scores["labels"]})}

    def predictions(self, scores: Scores, dataset: Any) -> Findings:
        found = read_predictions(self._prepared, scores["logits"], scores["labels"])
        return Findings(predictions_table(found, dataset, self._prepared), mistakes(found, dataset))


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
