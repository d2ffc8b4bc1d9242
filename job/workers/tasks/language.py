"""What the language-model tasks share: token losses, their sums by record, the models' packed documents, the appraisal.

Shapes: B records, T tokens of the longest, M targets of a batch, V vocabulary, N records of a split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch.nn import functional

from job.errors import CrashError
from job.records import PreparedData
from job.settings.evaluation import EvalSettings
from job.settings.root import Settings
from job.workers.documents import check_packing, model_inputs, outputs
from job.workers.metrics import language
from job.workers.metrics.interval import ratio_interval
from job.workers.model import first_position, load_config
from job.workers.padding import Padding
from job.workers.tasks.appraisal import Findings
from job.workers.tasks.base import NOT_TRAINING, Batch, Scores, Task
from job.workers.weights import Head, load_model, load_published

NOT_A_TARGET = -100
"""torch's own mark of a token without a loss."""
Tokens = npt.NDArray[np.int64]


class LanguageTask(Task):
    """A `Task` over the records of `job.workers.token_records`; each target is one token and weighs 1.

    A task says which head it trains (``head``), whether it reads from left to right only (``causal``), and what of a record is
    read and what is found at each place (`targets_of`).
    """

    head: Head
    causal: bool = True

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        self.prepared = prepared
        self.settings = settings
        self.tokenizer = tokenizer
        self._padding = Padding("right", Padding.of(settings, tokenizer).multiple)
        self._first_position = 0

    def main_metric(self) -> str:
        return language.MAIN

    def greater_is_better(self, metric: str) -> bool:
        return language.greater_is_better(metric)

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module:
        model: torch.nn.Module = load_model(Path(folder), self.tokenizer, self.head, from_config=from_config).model
        self._first_position = first_position(load_config(Path(folder)))
        if self.prepared.details.get("packed"):
            check_packing(model, causal=self.causal, first_position=self._first_position)
        return model

    def targets_of(self, row: Mapping[str, Any], epoch: int) -> tuple[Tokens, Tokens]:
        """Tokens that are read [T], and the token to be found at each place [T], `NOT_A_TARGET` where there is none."""
        raise NotImplementedError

    def collate(self, rows: Sequence[Mapping[str, Any]], epoch: int = NOT_TRAINING) -> Batch:
        read, sought = zip(*(self.targets_of(row, epoch) for row in rows), strict=True)
        ids = self._padding.pad(read, self.tokenizer.pad_token_id)
        labels = self._padding.pad(sought, NOT_A_TARGET)
        pieces = [row["pieces"] for row in rows]
        attention = model_inputs(pieces, ids.shape[1], causal=self.causal, first_position=self._first_position)
        extras = {"num_bytes": torch.tensor([row["num_bytes"] for row in rows])}
        return Batch({"input_ids": ids, **attention}, labels, (labels != NOT_A_TARGET).float(), extras)

    def loss_sum(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        losses, _, places = self._losses(model, batch)
        return (losses * batch.weights[places]).sum()

    def measure(self, model: torch.nn.Module, batch: Batch) -> Mapping[str, Any]:
        losses, right, places = self._losses(model, batch)
        record = places[0].cpu().numpy()
        count = len(batch.labels)
        return {
            "losses": np.bincount(record, losses.double().cpu().numpy(), count),
            "tokens": np.bincount(record, minlength=count),
            "correct": np.bincount(record, right.double().cpu().numpy(), count),
            "num_bytes": batch.extras["num_bytes"].cpu().numpy(),
        }

    def metrics(self, scores: Scores) -> dict[str, Any]:
        return language.compute(scores["losses"], scores["tokens"], scores["correct"], scores["num_bytes"])

    def _losses(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Loss [M] of each target, whether it was put first [M], and its row and column [M]."""
        logits = outputs(model, batch.inputs, causal=self.causal)
        places = torch.nonzero(batch.labels != NOT_A_TARGET, as_tuple=True)
        labels = batch.labels[places]
        # Float32, whatever autocast made of the logits, and of the targets alone: all places times a vocabulary are most of the memory.
        with torch.autocast(logits.device.type, enabled=False):
            chosen = logits[places].float()
            return functional.cross_entropy(chosen, labels, reduction="none"), chosen.argmax(-1) == labels, (places[0], places[1])


class LanguageAppraisal:
    """The `Appraisal` of a language model: the loss of each record; what is worth looking at are its answers (`Task.samples`)."""

    pipeline_tag = "text-generation"
    usage = (
        "from transformers import pipeline\n\n"
        'generate = pipeline("text-generation", model="{model}")\n'
        'generate("Once upon a time", max_new_tokens=50)'
    )

    def __init__(self, task: LanguageTask) -> None:
        self._task = task

    def load_published(self, folder: Path) -> torch.nn.Module:
        model: torch.nn.Module = load_published(folder, self._task.head.auto)
        return model

    def check_tokenizer(self, tokenizer: Any, dataset: Any) -> None:
        for probe in self._task.prepared.details["tokenized"]:
            if tokenizer(probe["text"], add_special_tokens=False)["input_ids"] != probe["ids"]:
                raise CrashError(
                    "The saved tokenizer does not give the tokens that the model was trained on.",
                    "This is a bug in the job, or the tokenizer changes its behaviour when it is saved.",
                )

    def interval(self, scores: Scores, settings: EvalSettings, seed: int) -> dict[str, Any]:
        return ratio_interval(language.MAIN, (scores["losses"], scores["tokens"]), settings, seed)

    def baselines(self, scores: Scores, train: Any) -> Mapping[str, Mapping[str, Any]]:
        return {}

    def predictions(self, scores: Scores, dataset: Any) -> Findings:
        tokens = np.maximum(scores["tokens"], 1)
        columns = {
            "id": pa.array(dataset["id"][:], pa.string()),
            "loss": pa.array(scores["losses"] / tokens, pa.float64()),
            "tokens": pa.array(scores["tokens"], pa.int64()),
            "token_accuracy": pa.array(scores["correct"] / tokens, pa.float64()),
        }
        return Findings(pa.table(columns).replace_schema_metadata({"loss": "mean over the record's targets, nats"}))
