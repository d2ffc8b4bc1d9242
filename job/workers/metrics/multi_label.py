"""Metrics of multi-label classification.  N examples, C labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from job.workers.metrics.flags import Flags, predict

Floats = npt.NDArray[np.float64]


def compute(logits: npt.NDArray[Any], labels: npt.NDArray[Any], names: Sequence[str]) -> dict[str, Any]:
    """All metrics of logits [N, C] against flags [N, C]; arguments as in ``table.compute``."""
    truth, predicted, exact = labels.astype(np.int64), predict(logits), logits.astype(np.float64)
    curves = [_roc_auc(exact[:, at], truth[:, at]) for at in range(len(names))]
    known = [area for area in curves if area is not None]
    return {
        "subset_accuracy": float((predicted == truth).all(axis=1).mean()),
        **_averages(truth, predicted),
        # softplus((1 - 2y)·x) is -log p of what is true, without a detour over p that would round to 0.
        "loss": float(np.logaddexp(0.0, (1 - 2 * truth) * exact).mean()),
        "log_loss": _log_loss(expit(exact), truth),
        "roc_auc": float(np.mean(known)) if len(known) == len(curves) else None,
        "per_label": _per_label(truth, predicted, curves, names),
    }


def _averages(truth: Flags, predicted: Flags) -> dict[str, float]:
    found: dict[str, float] = {}
    for average in ("macro", "micro", "weighted"):
        scores = _scores(truth, predicted, average)
        found |= {f"{kind}_{average}": float(score) for kind, score in zip(("precision", "recall", "f1"), scores, strict=False)}
    return found


def _scores(truth: Flags, predicted: Flags, average: str | None) -> Any:
    """scikit-learn's precision, recall, F1 and support; a single label is scored as the yes of yes and no."""
    if truth.shape[1] > 1:
        return precision_recall_fscore_support(truth, predicted, average=average, zero_division=0.0)
    return precision_recall_fscore_support(truth[:, 0], predicted[:, 0], labels=[1], average=average, zero_division=0.0)


def _per_label(truth: Flags, predicted: Flags, curves: Sequence[float | None], names: Sequence[str]) -> dict[str, Any]:
    rows = zip(names, *_scores(truth, predicted, None), curves, strict=True)
    return {
        name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support), "roc_auc": area}
        for name, precision, recall, f1, support, area in rows
    }


def _log_loss(probabilities: Floats, truth: Flags) -> float:
    """Mean of -log p of what is true, p kept off 0 so that one certain mistake does not make it infinite."""
    chosen = np.where(truth == 1, probabilities, 1 - probabilities)
    return float(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0)).mean())


def _roc_auc(scores: Floats, truth: Flags) -> float | None:
    """None when the label is always or never there."""
    return float(roc_auc_score(truth, scores)) if 0 < truth.sum() < len(truth) else None
