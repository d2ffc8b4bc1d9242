"""Direct preference optimization: of two answers to a prompt the chosen one becomes likelier, measured from where the model started.

Shapes: B pairs, T tokens of the longest answer with its prompt, N pairs of a split.  A batch holds 2B rows: the chosen answers,
then the rejected ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from job.errors import HopelessError
from job.records import PreparedData
from job.settings.evaluation import EvalSettings
from job.settings.root import Settings
from job.workers.answer_pairs import SIDES
from job.workers.metrics import table
from job.workers.metrics.interval import ratio_interval
from job.workers.metrics.preference import divergence, rewards
from job.workers.preference import (
    LOSSES,
    PER_TOKEN,
    WITHOUT_REFERENCE,
    Answers,
    Reference,
    Strength,
    answer_log_probabilities,
)
from job.workers.reference import COLUMNS, ReferencePass, with_reference
from job.workers.tasks.appraisal import Findings
from job.workers.tasks.base import NOT_TRAINING, Batch, Scores
from job.workers.tasks.sft import SupervisedAppraisal, SupervisedLM

if TYPE_CHECKING:  # for annotations alone: the engine brings accelerate
    from job.workers.engine import Engine

NUM_MISTAKES = 20


class Preference(SupervisedLM):
    """The `Task`: one loss per pair."""

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        super().__init__(settings, prepared, tokenizer)
        chosen = settings.preference
        self._loss = LOSSES[chosen.loss]
        self._strength = Strength(chosen.beta, chosen.label_smoothing)
        self._per_token = chosen.loss in PER_TOKEN
        self._with_reference = chosen.loss not in WITHOUT_REFERENCE

    def main_metric(self) -> str:
        return table.main_metric(self.prepared.problem)

    def greater_is_better(self, metric: str) -> bool:
        return table.greater_is_better(self.prepared.problem, metric)

    def enrich(self, dataset: Any, start: Callable[[], torch.nn.Module], engine: Engine, beat: Callable[[], None]) -> Any:
        if not self._with_reference:
            return dataset
        work = ReferencePass(self, start, engine, self.settings.eval.micro_batch_tokens, beat)
        return with_reference(dataset, work)

    def collate(self, rows: Sequence[Mapping[str, Any]], epoch: int = NOT_TRAINING) -> Batch:
        inputs, labels = self.sides(rows, SIDES)
        extras = {name: torch.tensor([float(row.get(name, 0.0)) for row in rows]) for name in COLUMNS}
        return Batch(inputs, labels, torch.ones(len(rows)), extras)

    def loss_sum(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        return (self._pair_losses(answers_of(model, batch), batch) * batch.weights).sum()

    def measure(self, model: torch.nn.Module, batch: Batch) -> Mapping[str, Any]:
        answers = answers_of(model, batch)
        found = {
            "chosen": answers.chosen,
            "rejected": answers.rejected,
            "chosen_tokens": answers.chosen_tokens,
            "rejected_tokens": answers.rejected_tokens,
            "loss": self._pair_losses(answers, batch),
            **batch.extras,
        }
        return {name: values.double().cpu().numpy() for name, values in found.items()}

    def metrics(self, scores: Scores) -> dict[str, Any]:
        broken = int((~np.isfinite(scores["loss"])).sum())
        if broken:
            raise HopelessError(
                f"The model's output is not a finite number for {broken} of {len(scores['loss'])} pairs: training has diverged.",
                "Lower JOB_TRAIN__LEARNING_RATE, raise JOB_PREFERENCE__BETA, or set JOB_TRAIN__PRECISION=fp32.",
            )
        found = {"loss": float(scores["loss"].mean()), **rewards(*self.rewards(scores))}
        if self._with_reference:
            sides = [np.concatenate([scores[name.format(side)] for side in SIDES]) for name in ("{}", "reference_{}", "{}_tokens")]
            found["kl"] = divergence(*sides)
        return found

    def rewards(self, scores: Scores) -> tuple[np.ndarray, np.ndarray]:
        """Rewards [N] of the chosen and of the rejected answers; per token where the loss counts so."""
        ratios = [scores[side] - scores[f"reference_{side}"] for side in SIDES]
        lengths = [scores[f"{side}_tokens"] if self._per_token else 1.0 for side in SIDES]
        chosen, rejected = (self._strength.beta * ratio / length for ratio, length in zip(ratios, lengths, strict=True))
        return chosen, rejected

    def _pair_losses(self, answers: Answers, batch: Batch) -> torch.Tensor:
        return self._loss(answers, Reference(*(batch.extras[name] for name in COLUMNS)), self._strength)


def answers_of(model: torch.nn.Module, batch: Batch) -> Answers:
    """What the model says of both answers of B pairs."""
    logits = model(**batch.inputs, use_cache=False).logits
    (chosen, rejected), (chosen_tokens, rejected_tokens) = (
        both.chunk(2) for both in answer_log_probabilities(logits, batch.labels)
    )
    return Answers(chosen, rejected, chosen_tokens, rejected_tokens)


class PreferenceAppraisal(SupervisedAppraisal):
    """The `Appraisal`: rewards of every pair, and the pairs that the model has most clearly the wrong way round.

    Beside the score, as the model before training, stands the reference itself: it prefers nothing.
    """

    _task: Preference

    def interval(self, scores: Scores, settings: EvalSettings, seed: int) -> dict[str, Any]:

        chosen, rejected = self._task.rewards(scores)
        return ratio_interval(self._task.main_metric(), (chosen > rejected, np.ones(len(chosen))), settings, seed)

    def predictions(self, scores: Scores, dataset: Any) -> Findings:
        chosen, rejected = self._task.rewards(scores)
        return pair_findings(dataset, chosen, rejected)


def pair_findings(dataset: Any, chosen: np.ndarray, rejected: np.ndarray) -> Findings:
    """Rewards [N] of every pair, and the pairs whose rejected answer has the higher one."""
    columns = {
        "id": pa.array(dataset["id"][:], pa.string()),
        "text_sha256": pa.array(dataset["text_sha256"][:], pa.string()),
        "reward_chosen": pa.array(chosen, pa.float64()),
        "reward_rejected": pa.array(rejected, pa.float64()),
    }
    order = [int(at) for at in np.argsort(chosen - rejected, kind="stable")[:NUM_MISTAKES] if chosen[at] < rejected[at]]
    mistakes = [
        {
            "id": dataset[at]["id"],
            "text": dataset[at]["text"][:1000],
            "label": "chosen (+)",
            "prediction": "rejected (-)",
            "score": float(rejected[at] - chosen[at]),
        }
        for at in order
    ]
    return Findings(pa.table(columns).replace_schema_metadata({"reward": "of each answer with its prompt"}), mistakes)
