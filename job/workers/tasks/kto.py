"""Learning from answers that were judged one by one: good ones become likelier, bad ones less likely (Kahneman-Tversky optimization).

Ethayarajh et al. 2024, arXiv 2402.01306.  The reward of an answer is β·log(π/π_ref); what it is worth is measured from the divergence
z₀ that the whole model has from its start, estimated by answers to other prompts: a good answer's loss is λ_D·sigmoid(β·z₀ - reward),
a bad one's λ_U·sigmoid(reward - β·z₀).  z₀ is that of the whole step, all ranks and micro-batches, and has no gradient.

Shapes: B answers, T tokens of the longest with its prompt, N answers of a split.  A batch holds 2B rows: the answers, then
those to other prompts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from job.errors import DataError, HopelessError
from job.records import PreparedData
from job.settings.evaluation import EvalSettings
from job.settings.limits import LimitsSettings
from job.settings.root import Settings
from job.workers.exchanges import Exchanges
from job.workers.judged_answers import JUDGED_COMPLETIONS, JUDGED_MESSAGES, SIDES, JudgedEncoder, parse_judged
from job.workers.ledger import Described
from job.workers.metrics import preference, table
from job.workers.metrics.interval import ratio_interval
from job.workers.preference import answer_log_probabilities
from job.workers.receipt import Receipt, receipts
from job.workers.reference import ReferencePass, columns, with_reference
from job.workers.selection import Count, Selection, check_filled, check_limit, select_filled
from job.workers.splits import Strata
from job.workers.tables import Source
from job.workers.tasks.appraisal import Findings
from job.workers.tasks.base import NOT_TRAINING, Batch, Scores, Tensors
from job.workers.tasks.raw_text import first_records, probe
from job.workers.tasks.sft import SupervisedAppraisal, SupervisedLM
from job.workers.tokenization import Encoder, TokenizedSplit, TokenizerSetup

if TYPE_CHECKING:  # for annotations alone: the engine brings accelerate
    from job.workers.engine import Engine

PROBLEM = "judgement"
DIVERGENCE = "divergence"
"""z₀ of the step, in the extras of every batch of it."""
NUM_MISTAKES = 20


class JudgedAnswers:
    """The `Preparation`."""

    def __init__(self, settings: Settings, setup: TokenizerSetup) -> None:
        self._tokenizer = setup.tokenizer
        self._exchanges = Exchanges(settings, setup.tokenizer)
        self._encoder = JudgedEncoder(setup, self._exchanges)
        self._probes: list[dict[str, Any]] = []
        self.roles = JUDGED_COMPLETIONS if settings.data.prompt_column else JUDGED_MESSAGES
        self._texts = [name for name in self.roles if name not in ("id", "label")]

    def recognise(self, train: Source) -> list[str]:
        filled = select_filled(train, self._texts).kept
        if not len(filled):
            return []
        row = {name: train.table[name][int(filled[0])].as_py() for name in self._texts}
        return self._exchanges.notes(row, train.place(filled[0]))

    def select(self, source: Source, limits: LimitsSettings) -> Selection:
        selection = select_filled(source, self._texts)
        check_filled(source, selection, " and ".join(self._texts), limits)
        for row in selection.kept.tolist():
            parse_judged({name: source.table[name][row].as_py() for name in self.roles}, source.place(row))
        return selection

    def strata(self, train: Source) -> Strata | None:
        return None

    def encoder(self, split: str) -> Encoder:
        return self._encoder

    def check(self, name: str, split: TokenizedSplit, limits: LimitsSettings) -> None:
        total = split.num_examples + len(split.without_targets)
        what = "nothing left of the answer after cutting"
        check_limit(Count(name, what, len(split.without_targets), total, split.without_targets[:3]), "max_masked_share", limits)
        good = split.counts.get("desirable_answers", 0)
        if name == "train" and good in (0, split.num_examples):
            raise DataError(
                f"All {split.num_examples} answers of the train data are judged {'good' if good else 'bad'}: there is nothing to tell apart.",
                "Give answers of both kinds, or learn from good ones alone with JOB_TASK=sft.",
            )

    def describe(self, tokenized: Mapping[str, TokenizedSplit], records: Mapping[str, Any]) -> Described:
        first = first_records(records["train"])
        rows = [Receipt(f"{row['id']}, {side}", row[f"{side}_ids"], row[f"{side}_targets"]) for row in first for side in SIDES]
        ends = ", ".join(repr(token) for token in self._tokenizer.convert_ids_to_tokens(sorted(self._encoder.stops)))
        self._probes = [found for row in first for found in probe(self._tokenizer, row["answer_ids"], row["answer_targets"])]
        train = tokenized["train"]
        judged = f"{train.counts.get('desirable_answers', 0)} of {train.num_examples} answers are judged good."
        notes = {"train": [f"Answers end with {ends}.", judged]}
        return Described({"problem": PROBLEM}, notes=notes, samples=receipts(self._tokenizer, rows))

    def facts(self, tokenized: Mapping[str, TokenizedSplit]) -> dict[str, Any]:
        details = {"tokenized": self._probes, "stops": sorted(self._encoder.stops)}
        return {"problem": PROBLEM, "labels": [], "label_counts": [], "details": details}


class Judgement(SupervisedLM):
    """The `Task`: one loss per answer."""

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        super().__init__(settings, prepared, tokenizer)
        self._chosen = settings.preference

    def main_metric(self) -> str:
        return table.main_metric(self.prepared.problem)

    def greater_is_better(self, metric: str) -> bool:
        return table.greater_is_better(self.prepared.problem, metric)

    def enrich(self, dataset: Any, start: Callable[[], torch.nn.Module], engine: Engine, beat: Callable[[], None]) -> Any:
        return with_reference(dataset, ReferencePass(self, start, engine, self.settings.eval.micro_batch_tokens, beat, SIDES))

    def collate(self, rows: Sequence[Mapping[str, Any]], epoch: int = NOT_TRAINING) -> Batch:
        inputs, labels = self.sides(rows, SIDES)
        extras = {name: torch.tensor([float(row.get(name, 0.0)) for row in rows]) for name in columns(SIDES)}
        extras["desirable"] = torch.tensor([bool(row["desirable"]) for row in rows])
        return Batch(inputs, labels, torch.ones(len(rows)), extras)

    def foresee(self, model: torch.nn.Module, batches: Sequence[Batch], engine: Engine) -> Sequence[Batch]:
        left, weight = 0.0, 0.0
        with torch.no_grad():
            for batch in (each.to(engine.device) for each in batches):
                ratios = _log_probabilities(model, batch, 1)[0] - batch.extras["reference_mismatched"]
                left += float((ratios * batch.weights).sum())
                weight += float(batch.weights.sum())
        left, weight = engine.sum([left, weight])
        divergence = torch.tensor(left / weight if weight else 0.0).clamp(min=0)  # what is no number stays none
        return [
            dataclasses.replace(batch, extras={**batch.extras, DIVERGENCE: divergence.expand(len(batch.weights))})
            for batch in batches
        ]

    def loss_sum(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        ratios = _log_probabilities(model, batch, 0)[0] - batch.extras["reference_answer"]
        return (self.losses(ratios, batch.extras[DIVERGENCE], batch.extras["desirable"]) * batch.weights).sum()

    def losses(self, ratios: torch.Tensor, divergence: torch.Tensor, desirable: torch.Tensor) -> torch.Tensor:
        """Losses [B] from the log-ratios [B] of answers, z₀, and which answers are good."""
        gain = self._chosen.beta * (ratios - divergence)
        signed = torch.where(desirable, gain, -gain)
        weights = torch.where(desirable, self._chosen.desirable_weight, self._chosen.undesirable_weight)
        return weights * (1 - torch.sigmoid(signed))

    def measure(self, model: torch.nn.Module, batch: Batch) -> Mapping[str, Any]:
        (answer, tokens), (mismatched, _) = (_log_probabilities(model, batch, side) for side in range(len(SIDES)))
        found = {"answer": answer, "mismatched": mismatched, "tokens": tokens, **batch.extras}
        return {name: values.double().cpu().numpy() for name, values in found.items()}

    def metrics(self, scores: Scores) -> dict[str, Any]:
        ratios, divergence = log_ratios(scores)
        broken = int((~np.isfinite(ratios)).sum())
        if broken or not np.isfinite(divergence):
            raise HopelessError(
                f"The model's output is not a finite number for {broken} of {len(ratios)} answers: training has diverged.",
                "Lower JOB_TRAIN__LEARNING_RATE, raise JOB_PREFERENCE__BETA, or set JOB_TRAIN__PRECISION=fp32.",
            )
        desirable = scores["desirable"] > 0
        losses = self.losses(torch.from_numpy(ratios), torch.tensor(divergence), torch.from_numpy(desirable))
        beta = self._chosen.beta
        return {"loss": float(losses.mean()), **preference.judged(beta * ratios, beta * divergence, desirable), "kl": divergence}


def log_ratios(scores: Scores) -> tuple[np.ndarray, float]:
    """Log-ratios [N] of the answers to their reference, and the split's own z₀."""
    ratios, others = (scores[side] - scores[f"reference_{side}"] for side in SIDES)
    return ratios, float(np.maximum(others.mean(), 0.0))


def _log_probabilities(model: torch.nn.Module, batch: Batch, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities [B] of the answers, or of those to other prompts, and their numbers of tokens [B]."""
    rows = slice(side * len(batch.weights), (side + 1) * len(batch.weights))
    inputs: Tensors = {name: tensor[rows] for name, tensor in batch.inputs.items()}
    return answer_log_probabilities(model(**inputs, use_cache=False).logits, batch.labels[rows])


class JudgementAppraisal(SupervisedAppraisal):
    """The `Appraisal`: the reward of every answer, and those that the model has most clearly on the wrong side."""

    _task: Judgement

    def interval(self, scores: Scores, settings: EvalSettings, seed: int) -> dict[str, Any]:
        right = preference.on_the_right_side(*log_ratios(scores), scores["desirable"] > 0)
        return ratio_interval(self._task.main_metric(), (right, np.ones(len(right))), settings, seed)

    def predictions(self, scores: Scores, dataset: Any) -> Findings:
        ratios, divergence = log_ratios(scores)
        gains, desirable = self._task.settings.preference.beta * (ratios - divergence), scores["desirable"] > 0
        told = {
            "id": pa.array(dataset["id"][:], pa.string()),
            "text_sha256": pa.array(dataset["text_sha256"][:], pa.string()),
            "desirable": pa.array(desirable),
            "gain": pa.array(gains, pa.float64()),
        }
        signed = np.where(desirable, gains, -gains)
        order = [int(at) for at in np.argsort(signed, kind="stable")[:NUM_MISTAKES] if signed[at] < 0]
        mistakes = [
            {
                "id": dataset[at]["id"],
                "text": dataset[at]["text"][:1000],
                "label": "good (+)" if desirable[at] else "bad (-)",
                "prediction": "bad (-)" if desirable[at] else "good (+)",
                "score": float(-signed[at]),
            }
            for at in order
        ]
        return Findings(pa.table(told).replace_schema_metadata({"gain": "reward of an answer above the divergence"}), mistakes)
