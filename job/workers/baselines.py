"""What a score has to beat: the same answer for every example, made from nothing but the training labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from job.records import PreparedData

_SMALLEST_SHARE = 1e-12
"""A label that never occurs gets this probability: finite logits."""

Floats = npt.NDArray[np.float64]


def constant_logits(prepared: PreparedData, training_labels: Any, num_examples: int) -> Floats:
    """Logits [N, C] of the constant answer: each label's share of the training data as its probability, or the mean number.

    Args:
        prepared: counts of the training labels.
        training_labels: labels of the training split; read only for regression.
        num_examples: N.
    """
    row = _ROWS[prepared.problem](prepared, training_labels)
    return np.tile(row, (num_examples, 1))


def _shares(prepared: PreparedData) -> Floats:
    shares = np.asarray(prepared.label_counts, dtype=np.float64) / prepared.num_examples["train"]
    return np.clip(shares, _SMALLEST_SHARE, 1 - _SMALLEST_SHARE)


def _mean(_: PreparedData, training_labels: Any) -> Floats:
    return np.asarray([np.mean(np.asarray(training_labels, dtype=np.float64))])


_ROWS: dict[str, Callable[[PreparedData, Any], Floats]] = {
    "single_label": lambda prepared, _: np.log(_shares(prepared)),
    "multi_label": lambda prepared, _: np.asarray(logit(_shares(prepared))),
    "regression": _mean,
}
