"""Reward modelling: a number for an answer, higher for the one of two that people preferred (Bradley-Terry).

Shapes: B pairs, N pairs of a split.  A batch holds 2B rows: the chosen answers, then the rejected ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from job.errors import CrashError, HopelessError
from job.records import PreparedData
from job.settings.evaluation import EvalSettings
from job.settings.root import Settings
from job.workers.answer_pairs import SIDES
from job.workers.metrics import table
from job.workers.metrics.interval import ratio_interval
from job.workers.padding import Padding
from job.workers.preference import reward_loss
from job.workers.tasks.appraisal import Findings
from job.workers.tasks.base import NOT_TRAINING, Batch, Scores, Task
from job.workers.tasks.dpo import pair_findings
from job.workers.weights import Head, load_model, load_published

_USAGE = """from transformers import pipeline

reward = pipeline("text-classification", model="{model}", function_to_apply="none")
reward("A question and its answer, written as in training")"""


class Reward(Task):
    """The `Task`: one loss per pair, -log sigmoid of the difference."""

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        self.prepared = prepared
        self._tokenizer = tokenizer
        self._padding = Padding("right", Padding.of(settings, tokenizer).multiple)

    def main_metric(self) -> str:
        return table.main_metric(self.prepared.problem)

    def greater_is_better(self, metric: str) -> bool:
        return table.greater_is_better(self.prepared.problem, metric)

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module:
        head = Head(tuple(self.prepared.labels), "regression", name="reward")
        model: torch.nn.Module = load_model(Path(folder), self._tokenizer, head, from_config=from_config).model
        return model

    def collate(self, rows: Sequence[Mapping[str, Any]], epoch: int = NOT_TRAINING) -> Batch:
        ids = [np.asarray(row[f"{side}_ids"]) for side in SIDES for row in rows]
        inputs = {
            "input_ids": self._padding.pad(ids, self._tokenizer.pad_token_id),
            "attention_mask": self._padding.pad([np.ones(len(each), np.int64) for each in ids], 0),
        }
        return Batch(inputs, torch.zeros(len(rows)), torch.ones(len(rows)))

    def loss_sum(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        chosen, rejected = self._rewards(model, batch)
        return (reward_loss(chosen, rejected) * batch.weights).sum()

    def measure(self, model: torch.nn.Module, batch: Batch) -> Mapping[str, Any]:
        chosen, rejected = self._rewards(model, batch)
        found = {"chosen": chosen, "rejected": rejected, "loss": reward_loss(chosen, rejected)}
        return {name: values.double().cpu().numpy() for name, values in found.items()}

    def metrics(self, scores: Scores) -> dict[str, Any]:
        if not np.isfinite(scores["loss"]).all():
            raise HopelessError(
                "The model's rewards are not all finite numbers: training has diverged.",
                "Lower JOB_TRAIN__LEARNING_RATE, or set JOB_TRAIN__PRECISION=fp32.",
            )
        return {
            "accuracy": float((scores["chosen"] > scores["rejected"]).mean()),
            "margin": float((scores["chosen"] - scores["rejected"]).mean()),
            "loss": float(scores["loss"].mean()),
        }

    def _rewards(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        chosen, rejected = model(**batch.inputs).logits.squeeze(-1).float().chunk(2)
        return chosen, rejected


class RewardAppraisal:
    """The `Appraisal`: rewards of every pair, and the pairs that the model has most clearly the wrong way round."""

    pipeline_tag = "text-classification"
    usage = _USAGE

    def __init__(self, task: Reward) -> None:
        self._task = task

    def load_published(self, folder: Path) -> torch.nn.Module:
        model: torch.nn.Module = load_published(folder)
        return model

    def check_tokenizer(self, tokenizer: Any, dataset: Any) -> None:
        for probe in self._task.prepared.details["tokenized"]:
            if tokenizer(probe["text"], add_special_tokens=False)["input_ids"] != probe["ids"]:
                raise CrashError(
                    "The saved tokenizer does not give the tokens that the model was trained on.",
                    "This is a bug in the job, or the tokenizer changes its behaviour when it is saved.",
                )

    def interval(self, scores: Scores, settings: EvalSettings, seed: int) -> dict[str, Any]:

        right = scores["chosen"] > scores["rejected"]
        return ratio_interval(self._task.main_metric(), (right, np.ones(len(right))), settings, seed)

    def baselines(self, scores: Scores, train: Any) -> Mapping[str, Mapping[str, Any]]:
        return {}

    def predictions(self, scores: Scores, dataset: Any) -> Findings:
        return pair_findings(dataset, scores["chosen"], scores["rejected"])
