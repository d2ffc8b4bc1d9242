"""Text embeddings: a text's vector comes to lie near that of the text which belongs to it, and away from all others of the step.

The candidates are those of the whole step, of all ranks and micro-batches, whatever the cut (`job.workers.contrast`).

Shapes: B records, K texts of each, T tokens of the longest, D the embedding's size, N records of a split.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from transformers import AutoModel

from job.errors import CrashError, HopelessError, SettingsError
from job.records import PreparedData
from job.settings.evaluation import EvalSettings
from job.settings.limits import LimitsSettings
from job.settings.root import Settings
from job.workers.collectives import gather_rows
from job.workers.contrast import Texts, embedding_gradients, surrogate
from job.workers.ledger import Described
from job.workers.metrics import retrieval, table
from job.workers.metrics.interval import ratio_interval
from job.workers.padding import Padding
from job.workers.pooling import pool
from job.workers.selection import Selection, check_filled, select_filled
from job.workers.splits import Strata
from job.workers.tables import Source
from job.workers.tasks.appraisal import Findings
from job.workers.tasks.base import NOT_TRAINING, Batch, Scores, Task
from job.workers.text_encoding import PAIR_MARK
from job.workers.text_sets import PAIRS, TRIPLETS, TextSetEncoder
from job.workers.tokenization import Encoder, TokenizedSplit, TokenizerSetup
from job.workers.tuning import anatomy
from job.workers.weights import Head, load_model, load_published

if TYPE_CHECKING:  # for annotations alone: the engine brings accelerate
    from job.workers.engine import Engine

_NUM_RETOKENIZED = 32


class TextSets:
    """The `Preparation`: pairs, or triplets where a column of negatives is named."""

    def __init__(self, settings: Settings, setup: TokenizerSetup) -> None:
        self.roles = PAIRS if settings.data.negative_column is None else TRIPLETS
        self._columns = [name for name in self.roles if name != "id"]
        self._setup = setup

    def recognise(self, train: Source) -> list[str]:
        return [f"Each example has {len(self._columns)} texts: {', '.join(self._columns)}."]

    def select(self, source: Source, limits: LimitsSettings) -> Selection:
        selection = select_filled(source, self._columns)
        check_filled(source, selection, " and ".join(self._columns), limits)
        return selection

    def strata(self, train: Source) -> Strata | None:
        return None

    def encoder(self, split: str) -> Encoder:
        return TextSetEncoder(self._setup, self._columns)

    def check(self, name: str, split: TokenizedSplit, limits: LimitsSettings) -> None:
        """Nothing that the common checks do not see."""

    def describe(self, tokenized: Mapping[str, TokenizedSplit], records: Mapping[str, Any]) -> Described:
        return Described({"problem": "retrieval"})

    def facts(self, tokenized: Mapping[str, TokenizedSplit]) -> dict[str, Any]:
        return {"problem": "retrieval", "labels": [], "label_counts": [], "details": {"columns": self._columns}}


class Embedding(Task):
    """The `Task`: cross entropy of each anchor over all candidates of the step."""

    collective = True

    def __init__(self, settings: Settings, prepared: PreparedData, tokenizer: Any) -> None:
        if settings.train.global_batch_size < 2:
            raise SettingsError(
                "JOB_TRAIN__GLOBAL_BATCH_SIZE=1 leaves an embedding nothing to be told apart from.",
                "Raise JOB_TRAIN__GLOBAL_BATCH_SIZE: the other examples of a step are the wrong answers.",
            )
        self.prepared = prepared
        self._settings = settings.embedding
        self._tokenizer = tokenizer
        self._padding = Padding.of(settings, tokenizer)
        self._engine: Engine | None = None

    def main_metric(self) -> str:
        return table.main_metric(self.prepared.problem)

    def greater_is_better(self, metric: str) -> bool:
        return table.greater_is_better(self.prepared.problem, metric)

    def load_model(self, folder: str, *, from_config: bool) -> torch.nn.Module:
        head = Head(auto=AutoModel, name="bare")
        model: torch.nn.Module = load_model(Path(folder), self._tokenizer, head, from_config=from_config).model
        anatomy.mark_idle(model, "pooler")  # the model's own, which is no part of the embedding
        return model

    def collate(self, rows: Sequence[Mapping[str, Any]], epoch: int = NOT_TRAINING) -> Batch:
        columns = range(len(rows[0]["texts"]))
        ids = [row["texts"][column] for column in columns for row in rows]
        inputs = {
            "input_ids": self._padding.pad(ids, self._tokenizer.pad_token_id),
            "attention_mask": self._padding.pad([np.ones(len(each), np.int64) for each in ids], 0),
        }
        return Batch(inputs, torch.tensor([row["keys"] for row in rows]), torch.ones(len(rows)))

    def foresee(self, model: torch.nn.Module, batches: Sequence[Batch], engine: Engine) -> Sequence[Batch]:
        self._engine = engine
        if len(batches) == 1:  # on one rank as on all: the step's only batch can be embedded with its graph at once
            return batches
        on_device = [batch.to(engine.device) for batch in batches]
        with torch.no_grad():
            embeddings = torch.cat([self._embed(model, batch) for batch in on_device])
        losses, gradients = step_gradients(engine, embeddings, on_device, self._settings.scale)
        sizes = [len(batch.weights) for batch in batches]
        known = zip(batches, losses.split(sizes), gradients.split(sizes), strict=True)
        return [dataclasses.replace(batch, extras={"losses": loss, "gradients": slope}) for batch, loss, slope in known]

    def loss_sum(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        embeddings = self._embed(model, batch)
        if "gradients" in batch.extras:
            return surrogate(embeddings, batch.extras["gradients"], batch.extras["losses"])
        losses, gradients = step_gradients(self._engine, embeddings, [batch], self._settings.scale)
        return surrogate(embeddings, gradients, losses)

    def measure(self, model: torch.nn.Module, batch: Batch) -> Mapping[str, Any]:
        return {"embeddings": self._embed(model, batch).float().cpu().numpy(), "keys": batch.labels.cpu().numpy()}

    def metrics(self, scores: Scores) -> dict[str, Any]:
        if not np.isfinite(scores["embeddings"]).all():
            raise HopelessError(
                "The embeddings are not all finite numbers: training has diverged.",
                "Lower JOB_TRAIN__LEARNING_RATE, or set JOB_TRAIN__PRECISION=fp32.",
            )
        return retrieval.compute(ranks(scores))

    def _embed(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """[B, K, D]."""
        hidden = model(**batch.inputs).last_hidden_state
        vectors = pool(self._settings.pooling, hidden.float(), batch.inputs["attention_mask"])
        return vectors.view(-1, len(batch.weights), vectors.shape[-1]).transpose(0, 1)


def step_gradients(
    engine: Engine | None, embeddings: torch.Tensor, batches: Sequence[Batch], scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses [n] and gradients [n, K, D] of this rank's examples, from the embeddings of all ranks."""
    if engine is None:
        raise CrashError("The step's candidates are not known: `foresee` comes before `loss_sum`.")
    everyone, mine = gather_rows(engine, embeddings)
    keys, _ = gather_rows(engine, torch.cat([batch.labels for batch in batches]))
    weights, _ = gather_rows(engine, torch.cat([batch.weights for batch in batches]))
    losses, gradients = embedding_gradients(Texts(everyone, keys, weights), scale)
    return losses[mine], gradients[mine]


def ranks(scores: Scores) -> np.ndarray:
    """Rank [N] of each anchor's positive among all texts of the split that are no anchors, each text once."""
    embeddings, keys = scores["embeddings"], scores["keys"]
    stock = embeddings[:, 1:].reshape(-1, embeddings.shape[-1])
    _, first, place = np.unique(keys[:, 1:].reshape(-1), return_index=True, return_inverse=True)
    own = place.reshape(len(keys), -1)[:, 0]
    return retrieval.ranks(embeddings[:, 0], stock[first], own)


class EmbeddingAppraisal:
    """The `Appraisal`: the rank of every anchor's own text, and the anchors whose text lies farthest down."""

    pipeline_tag = "sentence-similarity"
    usage = (
        "from sentence_transformers import SentenceTransformer\n\n"
        'model = SentenceTransformer("{model}")\n'
        'model.similarity(model.encode("A question"), model.encode("A text"))'
    )

    def __init__(self, task: Embedding) -> None:
        self._task = task

    def load_published(self, folder: Path) -> torch.nn.Module:
        model: torch.nn.Module = load_published(folder, AutoModel)
        return model

    def check_tokenizer(self, tokenizer: Any, dataset: Any) -> None:
        for row in dataset.select(range(min(_NUM_RETOKENIZED, len(dataset)))):
            texts = row["text"].split(PAIR_MARK)
            if len(texts) == len(row["texts"]) and tokenizer(texts, truncation=True)["input_ids"] != row["texts"]:
                raise CrashError(
                    f"The saved tokenizer does not give the tokens that the model was trained on (example {row['id']!r}).",
                    "This is a bug in the job, or the tokenizer changes its behaviour when it is saved.",
                )

    def interval(self, scores: Scores, settings: EvalSettings, seed: int) -> dict[str, Any]:

        places = ranks(scores)
        return ratio_interval(self._task.main_metric(), (1.0 / places, np.ones(len(places))), settings, seed)

    def baselines(self, scores: Scores, train: Any) -> Mapping[str, Mapping[str, Any]]:
        return {}

    def predictions(self, scores: Scores, dataset: Any) -> Findings:
        places = ranks(scores)
        columns = {"id": pa.array(dataset["id"][:], pa.string()), "rank": pa.array(places, pa.int64())}
        order = [int(at) for at in np.argsort(-places, kind="stable")[:20] if places[at] > 1]
        mistakes = [
            {
                "id": dataset[at]["id"],
                "text": dataset[at]["text"][:1000],
                "label": "rank 1",
                "prediction": f"rank {places[at]}",
                "score": float(places[at]),
            }
            for at in order
        ]
        return Findings(
            pa.table(columns).replace_schema_metadata({"rank": "of the positive among all texts of the split, from 1"}), mistakes
        )
