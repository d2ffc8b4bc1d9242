"""Metrics of tags: entities found, by type, and words labelled right.  N sentences.

Entities are counted by seqeval, sentence by sentence, because counts of sentences can be resampled for a confidence interval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from job.workers.tags import Scheme, Tags, spans

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reading:
    """How tags are read: the scheme, and whether only entities count that keep to it."""

    scheme: Scheme
    strict: bool


def compute(truth: Sequence[Tags], predicted: Sequence[Tags], reading: Reading) -> dict[str, Any]:
    """Precision, recall and F1 of entities over all sentences (micro), their plain mean over types, and each type's own.

    Args:
        truth: tags of every word of N sentences.
        predicted: the same.
        reading: how both are read.

    Returns:
        ``accuracy`` is the share of words with the right tag; with plain tags there is nothing else but ``per_class``.
    """
    accuracy = _word_accuracy(truth, predicted)
    if reading.scheme == "plain":
        return {"accuracy": accuracy, "per_class": _per_kind(*_tag_counts(truth, predicted))}
    per_type = _per_kind(*_entity_counts(truth, predicted, reading))
    total = sentence_counts(truth, predicted, reading).sum(axis=0)
    return {
        **_scores(*total.tolist()),
        **{f"{name}_macro": _mean([entry[name] for entry in per_type.values()]) for name in ("precision", "recall", "f1")},
        "accuracy": accuracy,
        "entities": int(total[2]),
        "per_class": per_type,
    }


def sentence_counts(truth: Sequence[Tags], predicted: Sequence[Tags], reading: Reading) -> Counts:
    """[N, 3] of each sentence: entities found right, entities predicted, entities there; with plain tags, words."""
    rows = np.zeros((len(truth), 3), dtype=np.int64)
    for at, (true, guess) in enumerate(zip(truth, predicted, strict=True)):
        if reading.scheme == "plain":
            right = sum(one == other for one, other in zip(true, guess, strict=True))
            rows[at] = right, len(true), len(true)
        else:
            there = spans(true, reading.scheme, strict=reading.strict)
            found = spans(guess, reading.scheme, strict=reading.strict)
            rows[at] = len(there & found), len(found), len(there)
    return rows


def f1(sums: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """F1 [...] of summed counts [..., 3]; 0 where there is nothing."""
    below = (sums[..., 1] + sums[..., 2]).astype(np.float64)
    found: npt.NDArray[np.float64] = np.divide(2.0 * sums[..., 0], below, out=np.zeros(below.shape), where=below > 0)
    return found


def _entity_counts(
    truth: Sequence[Tags], predicted: Sequence[Tags], reading: Reading
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    right, guessed, there = Counter[str](), Counter[str](), Counter[str]()
    for true, guess in zip(truth, predicted, strict=True):
        real, found = (spans(tags, reading.scheme, strict=reading.strict) for tags in (true, guess))
        right.update(kind for kind, _, _ in real & found)
        guessed.update(kind for kind, _, _ in found)
        there.update(kind for kind, _, _ in real)
    return right, guessed, there


def _tag_counts(truth: Sequence[Tags], predicted: Sequence[Tags]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    right, guessed, there = Counter[str](), Counter[str](), Counter[str]()
    for true, guess in zip(truth, predicted, strict=True):
        right.update(one for one, other in zip(true, guess, strict=True) if one == other)
        guessed.update(guess)
        there.update(true)
    return right, guessed, there


def _per_kind(right: Counter[str], guessed: Counter[str], there: Counter[str]) -> dict[str, dict[str, Any]]:
    return {
        kind: {**_scores(right[kind], guessed[kind], there[kind]), "support": there[kind]} for kind in sorted({*guessed, *there})
    }


def _scores(right: int, guessed: int, there: int) -> dict[str, float]:
    return {
        "precision": right / guessed if guessed else 0.0,
        "recall": right / there if there else 0.0,
        "f1": 2 * right / (guessed + there) if guessed + there else 0.0,
    }


def _word_accuracy(truth: Sequence[Tags], predicted: Sequence[Tags]) -> float:
    right = sum(one == other for true, guess in zip(truth, predicted, strict=True) for one, other in zip(true, guess, strict=True))
    return right / max(1, sum(map(len, truth)))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
