"""Which metrics each kind of problem has, which one is its main one, and in which direction a metric is better."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

from job.errors import SettingsError

Compute = Callable[[npt.NDArray[Any], npt.NDArray[Any], Sequence[str]], dict[str, Any]]

_AVERAGED = [f"{kind}_{average}" for kind in ("precision", "recall", "f1") for average in ("macro", "micro", "weighted")]
_GREATER: dict[str, list[str]] = {
    "single_label": ["accuracy", "balanced_accuracy", *_AVERAGED, "mcc", "roc_auc"],
    "multi_label": ["subset_accuracy", *_AVERAGED, "roc_auc"],
    "regression": ["r2", "pearson", "spearman"],
    "entities": ["f1", "precision", "recall", "f1_macro", "precision_macro", "recall_macro", "accuracy"],
    "words": ["accuracy"],
    "preference": ["reward_accuracy", "reward_margin", "reward_chosen"],
    "judgement": ["reward_accuracy", "reward_margin", "reward_desirable"],
    "reward": ["accuracy", "margin"],
    "seq2seq": ["token_accuracy", "rouge_1", "rouge_2", "rouge_l", "bleu", "chrf", "exact_match"],
    "retrieval": ["recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10"],
}
_SMALLER: dict[str, list[str]] = {
    "single_label": ["loss", "log_loss", "ece"],
    "multi_label": ["loss", "log_loss"],
    "regression": ["loss", "mse", "rmse", "mae"],
    "entities": ["loss"],
    "words": ["loss"],
    "preference": ["loss", "kl"],
    "judgement": ["loss", "kl", "reward_undesirable"],
    "reward": ["loss"],
    "seq2seq": ["loss", "perplexity"],
    "retrieval": ["median_rank"],
}
_MAIN = {
    "single_label": "accuracy",
    "multi_label": "f1_micro",
    "regression": "mse",
    "entities": "f1",
    "words": "accuracy",
    "preference": "reward_accuracy",
    "judgement": "reward_accuracy",
    "reward": "accuracy",
    "seq2seq": "loss",
    "retrieval": "mrr",
}
"""Regression's is the squared error, not R²: it is what training minimises and, unlike R², it is defined for any labels."""


def compute(problem: str, logits: npt.NDArray[Any], labels: npt.NDArray[Any], names: Sequence[str]) -> dict[str, Any]:
    """All metrics of N examples.

    Args:
        problem: single_label, multi_label or regression.
        logits: [N, C], finite.
        labels: [N] class ids, [N, C] of 0 and 1, or [N] numbers.
        names: the C label names; unused for regression.
    """
    # scikit-learn takes seconds to import, and most ranks and programs never compute a metric.
    module = importlib.import_module(f"job.workers.metrics.{problem}")
    compute_metrics: Compute = module.compute
    return compute_metrics(logits, labels, names)


def main_metric(problem: str) -> str:
    """The metric that ``JOB_EVAL__BEST_METRIC=auto`` means."""
    return _MAIN[problem]


def greater_is_better(problem: str, metric: str) -> bool:
    """Direction of a metric.

    Raises:
        SettingsError: when the problem has no such metric.
    """
    if metric in _GREATER[problem]:
        return True
    if metric in _SMALLER[problem]:
        return False
    valid = sorted(_GREATER[problem] + _SMALLER[problem])
    near = difflib.get_close_matches(metric, valid, n=1, cutoff=0.5)
    raise SettingsError(
        f"JOB_EVAL__BEST_METRIC names no metric of this problem ({problem})." + (f" Nearest: {near[0]}." if near else ""),
        f"Set JOB_EVAL__BEST_METRIC to auto, none, or one of {', '.join(valid)}.",
    )
