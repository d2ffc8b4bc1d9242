"""What the model says of each example, in words: predictions, scores, and the mistakes it was surest of."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import expit, softmax

from job.records import PreparedData
from job.workers.metrics.flags import predict

NUM_MISTAKES = 20
_LONGEST_TEXT = 1000
"""Characters of a text that are shown with a mistake."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Of N examples: labels and predictions as people read them, scores [N, C], and how wrong each is.

    ``scores`` are probabilities, or the predicted number itself; ``wrong`` is the confidence in a mistake (the absolute error
    of a number), 0 where there is none.
    """

    labels: list[Any]
    predicted: list[Any]
    scores: Floats
    wrong: Floats


def read_predictions(prepared: PreparedData, logits: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Predictions:
    """Turn logits [N, C] and labels [N] or [N, C] into words."""
    return _READERS[prepared.problem](prepared.labels, logits.astype(np.float64), labels)


def _single(names: Sequence[str], logits: Floats, labels: npt.NDArray[Any]) -> Predictions:
    scores = softmax(logits, axis=1)
    best = scores.argmax(axis=1)
    wrong = np.where(best == labels, 0.0, scores.max(axis=1))
    return Predictions([names[label] for label in labels], [names[label] for label in best], scores, wrong)


def _multi(names: Sequence[str], logits: Floats, labels: npt.NDArray[Any]) -> Predictions:
    scores, flags = expit(logits), predict(logits)
    # Sure of a wrong label is sure that it is there, or sure that it is not.
    wrong = np.where(flags == labels, 0.0, np.maximum(scores, 1 - scores)).max(axis=1)
    return Predictions(_named(names, labels), _named(names, flags), scores, wrong)


def _number(_: Sequence[str], logits: Floats, labels: npt.NDArray[Any]) -> Predictions:
    predicted = logits[:, 0]
    return Predictions(labels.astype(np.float64).tolist(), predicted.tolist(), logits, np.abs(predicted - labels))


def _named(names: Sequence[str], flags: npt.NDArray[Any]) -> list[list[str]]:
    return [[name for name, flag in zip(names, row, strict=True) if flag] for row in flags]


_READERS: dict[str, Callable[[Sequence[str], Floats, npt.NDArray[Any]], Predictions]] = {
    "single_label": _single,
    "multi_label": _multi,
    "regression": _number,
}


def mistakes(predictions: Predictions, dataset: Any) -> list[dict[str, Any]]:
    """The mistakes the model was surest of, surest first: id, text, label, prediction, score.

    Args:
        predictions: of the split.
        dataset: the prepared split, in the same order.
    """
    order = np.argsort(-predictions.wrong, kind="stable")[:NUM_MISTAKES]
    rows = [(int(at), dataset[int(at)]) for at in order if predictions.wrong[at] > 0]
    return [
        {
            "id": row["id"],
            "text": row["text"][:_LONGEST_TEXT],
            "label": predictions.labels[at],
            "prediction": predictions.predicted[at],
            "score": float(predictions.wrong[at]),
        }
        for at, row in rows
    ]


def predictions_table(predictions: Predictions, dataset: Any, prepared: PreparedData) -> pa.Table:
    """Columns id, text_sha256, label, prediction, scores; the schema's metadata names the scores' labels."""
    table = pa.table(
        {
            "id": pa.array(dataset["id"][:], pa.string()),
            "text_sha256": pa.array(dataset["text_sha256"][:], pa.string()),
            "label": pa.array(predictions.labels),
            "prediction": pa.array(predictions.predicted),
            "scores": pa.array(list(predictions.scores.astype(np.float32)), pa.list_(pa.float32())),
        }
    )
    metadata = {"problem": prepared.problem, "labels": json.dumps(prepared.labels, ensure_ascii=False)}
    return table.replace_schema_metadata(metadata)
