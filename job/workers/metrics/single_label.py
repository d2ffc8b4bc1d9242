"""Metrics of single-label classification.  N examples, C classes.

The scores of the labels that were predicted come from scikit-learn.  Averages over classes take in the classes that occur in
labels or predictions, which is scikit-learn's own rule; ``per_class`` lists all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, matthews_corrcoef, precision_recall_fscore_support, roc_auc_score

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

NUM_BINS = 15
"""Confidence bins of equal width between 0 and 1."""


def compute(logits: npt.NDArray[Any], labels: npt.NDArray[Any], names: Sequence[str]) -> dict[str, Any]:
    """All metrics of logits [N, C] against class ids [N]; arguments as in ``table.compute``."""
    log_probabilities: Floats = log_softmax(logits.astype(np.float64), axis=1)
    probabilities = np.exp(log_probabilities)
    predicted = probabilities.argmax(axis=1)
    table = _calibration(probabilities.max(axis=1), predicted == labels)
    chosen = log_probabilities[np.arange(len(labels)), labels]
    return {
        "accuracy": float((predicted == labels).mean()),
        **_averages(labels, predicted),
        "mcc": _matthews(labels, predicted),
        "loss": float(-chosen.mean()),
        "log_loss": _log_loss(np.exp(chosen)),
        "roc_auc": _roc_auc(probabilities, labels),
        "ece": _expected_calibration_error(table),
        "confusion_matrix": confusion_matrix(labels, predicted, labels=range(len(names))).tolist(),
        "per_class": _per_class(labels, predicted, names),
        "calibration": table,
    }


def _averages(labels: Ids, predicted: Ids) -> dict[str, float]:
    found: dict[str, float] = {}
    for average in ("macro", "micro", "weighted"):
        scores = precision_recall_fscore_support(labels, predicted, average=average, zero_division=0.0)
        found |= {f"{kind}_{average}": float(score) for kind, score in zip(("precision", "recall", "f1"), scores, strict=False)}
    recalls = precision_recall_fscore_support(labels, predicted, labels=np.unique(labels), zero_division=0.0)[1]
    # Mean recall of the classes that occur; scikit-learn's function of this name warns about the ones that do not.
    return {"balanced_accuracy": float(recalls.mean()), **found}


def _per_class(labels: Ids, predicted: Ids, names: Sequence[str]) -> dict[str, dict[str, float | int]]:
    scores = precision_recall_fscore_support(labels, predicted, labels=range(len(names)), zero_division=0.0)
    return {
        name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}
        for name, precision, recall, f1, support in zip(names, *scores, strict=True)
    }


def _matthews(labels: Ids, predicted: Ids) -> float:
    """0, as scikit-learn has it, where nothing varies; it would warn of that."""
    return float(matthews_corrcoef(labels, predicted)) if len(np.union1d(labels, predicted)) > 1 else 0.0


def _log_loss(chosen: Floats) -> float:
    """Mean of -log p of the true class, p kept off 0 so that one certain mistake does not make it infinite."""
    return float(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0)).mean())


def _roc_auc(probabilities: Floats, labels: Ids) -> float | None:
    """Mean over classes of class-against-rest; None when a class does not occur, or nothing else does."""
    classes = range(1, 2) if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    truths = [labels == number for number in classes]
    if any(truth.all() or not truth.any() for truth in truths):
        return None
    return float(np.mean([roc_auc_score(truth, probabilities[:, number]) for number, truth in zip(classes, truths, strict=True)]))


def _calibration(confidence: Floats, correct: npt.NDArray[np.bool_]) -> dict[str, list[Any]]:
    """Mean confidence and accuracy of the examples in each bin; None for an empty one.  A bin includes its upper edge."""
    edges = np.linspace(0.0, 1.0, NUM_BINS + 1)
    bins = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, NUM_BINS - 1)
    counts = np.bincount(bins, minlength=NUM_BINS)
    sums = (np.bincount(bins, weights=values, minlength=NUM_BINS) for values in (confidence, correct.astype(np.float64)))
    means = [[float(total / count) if count else None for total, count in zip(each, counts, strict=True)] for each in sums]
    return {"edges": edges.tolist(), "confidence": means[0], "accuracy": means[1], "counts": counts.tolist()}


def _expected_calibration_error(table: dict[str, list[Any]]) -> float:
    """Mean over examples of the distance between their bin's accuracy and its mean confidence in the predicted class."""
    rows = zip(table["confidence"], table["accuracy"], table["counts"], strict=True)
    return float(sum(count * abs(accuracy - confidence) for confidence, accuracy, count in rows if count) / sum(table["counts"]))
