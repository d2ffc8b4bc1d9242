"""Metrics of the prediction of a number.  N examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

Floats = npt.NDArray[np.float64]


def compute(logits: npt.NDArray[Any], labels: npt.NDArray[Any], names: Sequence[str] = ()) -> dict[str, Any]:  # noqa: ARG001 - one signature for all problems
    """All metrics of predictions [N, 1] against numbers [N]; arguments as in ``table.compute``."""
    predicted, truth = logits.astype(np.float64)[:, 0], labels.astype(np.float64)
    squared = float(mean_squared_error(truth, predicted))
    return {
        "mse": squared,
        "rmse": math.sqrt(squared),
        "mae": float(mean_absolute_error(truth, predicted)),
        "r2": float(r2_score(truth, predicted)) if np.ptp(truth) > 0 else None,
        "pearson": _correlation(truth, predicted),
        "spearman": _correlation(rankdata(truth), rankdata(predicted)),
        "loss": squared,
    }


def _correlation(one: Floats, other: Floats) -> float | None:
    """Pearson's; None when either does not vary."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])
