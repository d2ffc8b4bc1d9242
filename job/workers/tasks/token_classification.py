"""Token classification: a tag for every word of a sentence; the entities that the tags mark are what counts.

Shapes: B sentences, W words of the longest, T tokens of the longest, C tags, N sentences of a split.  Records are those of
`job.workers.word_encoding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional
from transformers import AutoModelForTokenClassification

from job.errors import CrashError, HopelessError, SettingsError
from job.records import PreparedData
from job.settings.evaluation import EvalSettings
from job.settings.limits import LimitsSettings
from job.settings.root import Settings
from job.workers.alignment import IGNORED, UNSEEN
from job.workers.ledger import Described
from job.workers.metrics import table
from job.workers.metrics.entities import Reading, compute, f1, sentence_counts
from job.workers.metrics.interval import interval
from job.workers.padding import Padding
from job.workers.selection import Selection
from job.workers.splits import Strata
from job.workers.tables import Source
from job.workers.tagging import TAGGED_WORDS, Tagging, recognise_tags, select_tagged
from job.workers.tags import OUTSIDE, Tags, spans
from job.workers.tasks.appraisal import Findings
from job.workers.tasks.base import NOT_TRAINING, Batch, Scores, Task
from job.workers.tokenization import Encoder, TokenizedSplit, TokenizerSetup
from job.workers.weights import Head, load_model, load_published
from job.workers.word_encoding import WordEncoder, mark_word_starts

NUM_MISTAKES = 20
_NUM_RETOKENIZED = 32
_USAGE = """from transformers import pipeline

tag = pipeline("token-classification", model="{model}", aggregation_strategy="simple")
tag("Text whose entities are sought.")"""


class TaggedWords:
    """The `Preparation`: the scheme of the tags is recognised and held to, words are tokenized one by one."""

    roles = TAGGED_WORDS

    def __init__(self, settings: Settings, setup: TokenizerSetup) -> None:
        self._settings = settings
        self._setup = setup
        self._tagging = Tagging("plain", ())
        self._train_counts = list[int]()
        mark_word_starts(setup.tokenizer)

    def recognise(self, train: Source) -> list[str]:
        self._tagging, notes = recognise_tags(train, self._settings.data)
        return notes

    def select(self, source: Source, limits: LimitsSettings) -> Selection:
        return select_tagged(source, self._tagging, limits)

    def strata(self, train: Source) -> Strata | None:
        return None

    def encoder(self, split: str) -> Encoder:
        return WordEncoder(self._setup, self._tagging, all_pieces=self._settings.tagging.label_pieces == "all")

    def check(self, name: str, split: TokenizedSplit, limits: LimitsSettings) -> None:
        """Nothing that `select` has not seen."""

    def describe(self, tokenized: Mapping[str, TokenizedSplit], records: Mapping[str, Any]) -> Described:
        head = {"problem": self._problem, "problem_reason": f"tags are {self._tagging.scheme}", "labels": list(self._tagging.names)}
        counts = {name: self._count_tags(split) for name, split in records.items()}
        self._train_counts = list(counts["train"].values())
        return Described(head, {name: {"label_counts": found} for name, found in counts.items()})

    def facts(self, tokenized: Mapping[str, TokenizedSplit]) -> dict[str, Any]:
        names, details = list(self._tagging.names), {"scheme": self._tagging.kept_scheme}
        return {"problem": self._problem, "labels": names, "label_counts": self._train_counts, "details": details}

    @property
    def _problem(self) -> str:
        return "words" if self._tagging.scheme == "plain" else "entities"

    def _count_tags(self, records: Any) -> dict[str, int]:
        """Words with each tag."""
        flat = np.concatenate([np.asarray(chunk.flatten()) for chunk in records.data.column("tags").chunks])
        return dict(zip(self._tagging.names, np.bincount(flat, minlength=len(self._tagging.names)).tolist(), strict=True))


class TokenClassification(Task):
    """The `Task`: cross entropy of the labelled tokens; what is measured is the prediction at each word's first token."""

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        if settings.train.class_weights != "none":
            raise SettingsError(
                "JOB_TRAIN__CLASS_WEIGHTS=balanced needs one label per example; this task has one per word.",
                "Leave JOB_TRAIN__CLASS_WEIGHTS out.",
            )
        self.prepared = prepared
        self.reading = Reading(prepared.details["scheme"], settings.tagging.strict)
        self._tokenizer = tokenizer
        self._padding = Padding.of(settings, tokenizer)
        self._unseen = "" if self.reading.scheme == "plain" else OUTSIDE
        """What a word that the model did not see counts as: outside of entities; never right where every word has its own class."""

    def main_metric(self) -> str:
        return table.main_metric(self.prepared.problem)

    def greater_is_better(self, metric: str) -> bool:
        return table.greater_is_better(self.prepared.problem, metric)

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module:
        head = Head(tuple(self.prepared.labels), None, AutoModelForTokenClassification, "token classification")
        model: torch.nn.Module = load_model(Path(folder), self._tokenizer, head, from_config=from_config).model
        return model

    def collate(self, rows: Sequence[Mapping[str, Any]], epoch: int = NOT_TRAINING) -> Batch:
        pad = self._padding.pad
        ids = [row["input_ids"] for row in rows]
        inputs = {
            "input_ids": pad(ids, self._tokenizer.pad_token_id),
            "attention_mask": pad([np.ones(len(each), np.int64) for each in ids], 0),
        }
        if "token_type_ids" in rows[0]:
            inputs["token_type_ids"] = pad([row["token_type_ids"] for row in rows], self._tokenizer.pad_token_type_id)
        labels = pad([row["labels"] for row in rows], IGNORED)
        before = [0 if self._padding.side == "right" else labels.shape[1] - len(each) for each in ids]
        starts = [[UNSEEN if at == UNSEEN else at + moved for at in row["starts"]] for row, moved in zip(rows, before, strict=True)]
        words = Padding("right", 1)
        extras = {"starts": words.pad(starts, IGNORED), "tags": words.pad([row["tags"] for row in rows], IGNORED)}
        return Batch(inputs, labels, (labels != IGNORED).float(), extras)

    def loss_sum(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        logits = model(**batch.inputs).logits
        with torch.autocast(logits.device.type, enabled=False):
            return (self._losses(logits, batch.labels) * batch.weights).sum()

    def measure(self, model: torch.nn.Module, batch: Batch) -> Mapping[str, Any]:
        logits = model(**batch.inputs).logits.float()
        losses = self._losses(logits, batch.labels) * batch.weights
        starts, tags = batch.extras["starts"], batch.extras["tags"]
        predicted = logits.argmax(dim=-1).gather(1, starts.clamp(min=0)).masked_fill(starts < 0, UNSEEN)
        counts = (tags != IGNORED).sum(dim=1).tolist()
        return {
            "predicted": [row[:count] for row, count in zip(predicted.tolist(), counts, strict=True)],
            "tags": [row[:count] for row, count in zip(tags.tolist(), counts, strict=True)],
            "loss": losses.sum(dim=1).cpu().numpy(),
            "tokens": batch.weights.sum(dim=1).cpu().numpy(),
        }

    def metrics(self, scores: Scores) -> dict[str, Any]:
        broken = int((~np.isfinite(scores["loss"])).sum())
        if broken:
            raise HopelessError(
                f"The model's output is not a finite number for {broken} of {len(scores['loss'])} sentences: training has diverged.",
                "Lower JOB_TRAIN__LEARNING_RATE, or set JOB_TRAIN__PRECISION=fp32.",
            )
        truth, predicted = self.named(scores)
        loss = float(scores["loss"].astype(np.float64).sum() / max(1.0, float(scores["tokens"].sum())))
        return {**compute(truth, predicted, self.reading), "loss": loss}

    def named(self, scores: Scores) -> tuple[list[Tags], list[Tags]]:
        """True and predicted tags of N sentences, by name."""
        names = self.prepared.labels
        truth: list[Tags] = [[names[tag] for tag in tags] for tags in scores["tags"]]
        predicted: list[Tags] = [[self._unseen if tag == UNSEEN else names[tag] for tag in tags] for tags in scores["predicted"]]
        return truth, predicted

    def _losses(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Of every token [B, T]; 0 for those without a label."""
        return functional.cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")


class TaggingAppraisal:
    """The `Appraisal`: every word's commonest tag beside the model's, sentences by their number of wrong words."""

    pipeline_tag = "token-classification"
    usage = _USAGE

    def __init__(self, task: TokenClassification) -> None:
        self._task = task
        self._prepared = task.prepared

    def load_published(self, folder: Path) -> torch.nn.Module:
        model: Any = load_published(folder, AutoModelForTokenClassification)
        names = [model.config.id2label[number] for number in range(model.config.num_labels)]
        if names != self._prepared.labels:
            raise CrashError(f"The saved model names its labels {names}; the data has {self._prepared.labels}.")
        found: torch.nn.Module = model
        return found

    def check_tokenizer(self, tokenizer: Any, dataset: Any) -> None:
        for row in dataset.select(range(min(_NUM_RETOKENIZED, len(dataset)))):
            words = row["text"].split(" ")
            if len(words) != len(row["tags"]):
                continue
            if tokenizer(words, is_split_into_words=True, truncation=True)["input_ids"] != row["input_ids"]:
                raise CrashError(
                    f"The saved tokenizer does not give the tokens that the model was trained on (example {row['id']!r}).",
                    "This is a bug in the job, or the tokenizer changes its behaviour when it is saved.",
                )

    def interval(self, scores: Scores, settings: EvalSettings, seed: int) -> dict[str, Any]:

        rows = sentence_counts(*self._task.named(scores), self._task.reading).astype(np.float64)
        return interval(self._task.main_metric(), rows, f1, settings, seed)

    def baselines(self, scores: Scores, train: Any) -> Mapping[str, Mapping[str, Any]]:
        commonest = int(np.argmax(self._prepared.label_counts))
        constant = {**scores, "predicted": [[commonest] * len(tags) for tags in scores["tags"]]}
        found = self._task.metrics(constant)
        del found["loss"]
        return {"majority": found}

    def predictions(self, scores: Scores, dataset: Any) -> Findings:
        truth, predicted = self._task.named(scores)
        columns = {
            "id": pa.array(dataset["id"][:], pa.string()),
            "text_sha256": pa.array(dataset["text_sha256"][:], pa.string()),
            "label": pa.array(truth, pa.list_(pa.string())),
            "prediction": pa.array(predicted, pa.list_(pa.string())),
        }
        metadata = {"problem": self._prepared.problem, "scheme": self._task.reading.scheme}
        wrong = np.array(
            [sum(one != other for one, other in zip(*pair, strict=True)) for pair in zip(truth, predicted, strict=True)]
        )
        order = np.argsort(-wrong, kind="stable")[:NUM_MISTAKES]
        mistakes = [self._mistake(dataset[int(at)], truth[at], predicted[at], int(wrong[at])) for at in order if wrong[at]]
        return Findings(pa.table(columns).replace_schema_metadata(metadata), mistakes)

    def _mistake(self, row: Mapping[str, Any], truth: Tags, predicted: Tags, wrong: int) -> dict[str, Any]:
        told = {"label": self._in_words(row, truth), "prediction": self._in_words(row, predicted)}
        return {"id": row["id"], "text": row["text"][:1000], **told, "score": float(wrong)}

    def _in_words(self, row: Mapping[str, Any], tags: Tags) -> str:
        """The entities of a sentence, or with plain tags all of them."""
        words = row["text"].split(" ")
        if self._task.reading.scheme == "plain" or len(words) != len(tags):
            return " ".join(tags)
        found = sorted(spans(tags, self._task.reading.scheme, strict=False), key=lambda span: span[1])
        return "; ".join(f"{kind}: {' '.join(words[first : last + 1])}" for kind, first, last in found) or "none"
