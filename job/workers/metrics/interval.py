"""How sure the main metric is: a percentile bootstrap over the examples.

The main metrics are all functions of sums over examples (right ones; true and false positives; squared errors).  Drawing N
examples with replacement is drawing how often each *distinct* example comes, a multinomial, so a thousand resamples of a
million right-or-wrong answers are a thousand draws of two counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from job.settings.evaluation import EvalSettings
from job.workers.metrics.flags import predict
from job.workers.metrics.table import main_metric

Floats = npt.NDArray[np.float64]
_CELLS_AT_ONCE = 4_000_000
"""Counts held in memory at a time: resamples times distinct examples."""


@dataclass(frozen=True)
class _Statistic:
    """A metric as ``value(sums)``: per-example rows [N, K] are added up, sums [..., K] give values [...]."""

    rows: Callable[[npt.NDArray[Any], npt.NDArray[Any]], Floats]
    value: Callable[[Floats], Floats]


def _mean(sums: Floats) -> Floats:
    return sums[..., 0] / sums[..., -1]


def _with_ones(column: npt.NDArray[Any]) -> Floats:
    return np.stack([column.astype(np.float64), np.ones(len(column))], axis=1)


def _positives(logits: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Floats:
    """True positives, and true plus predicted ones, of each example."""
    predicted, truth = predict(logits), labels.astype(np.int64)
    return np.stack([(predicted * truth).sum(axis=1), predicted.sum(axis=1) + truth.sum(axis=1)], axis=1).astype(np.float64)


def _f1(sums: Floats) -> Floats:
    return np.divide(2 * sums[..., 0], sums[..., 1], out=np.zeros(sums.shape[:-1]), where=sums[..., 1] > 0)


_STATISTICS = {
    "single_label": _Statistic(lambda logits, labels: _with_ones(logits.argmax(axis=1) == labels), _mean),
    "multi_label": _Statistic(_positives, _f1),
    "regression": _Statistic(lambda logits, labels: _with_ones((logits[:, 0].astype(np.float64) - labels) ** 2), _mean),
}


def main_interval(
    problem: str, logits: npt.NDArray[Any], labels: npt.NDArray[Any], settings: EvalSettings, seed: int
) -> dict[str, Any]:
    """Confidence interval of the problem's main metric.

    Args:
        problem: single_label, multi_label or regression.
        logits: [N, C].
        labels: [N] or [N, C].
        settings: how many resamples, and the level.
        seed: of the resampling.
    """
    statistic = _STATISTICS[problem]
    return interval(main_metric(problem), statistic.rows(logits, labels), statistic.value, settings, seed)


def ratio_interval(
    metric: str, sums: tuple[npt.NDArray[Any], npt.NDArray[Any]], settings: EvalSettings, seed: int
) -> dict[str, Any]:
    """`interval` of a metric that is a sum over records divided by another, such as the loss of all tokens by their number.

    Args:
        metric: its name.
        sums: what each of N records adds to the dividend [N] and to the divisor [N].
        settings: how many resamples, and the level.
        seed: of the resampling.
    """
    return interval(metric, np.stack(sums, axis=1).astype(np.float64), _mean, settings, seed)


def interval(metric: str, rows: Floats, value: Callable[[Floats], Floats], settings: EvalSettings, seed: int) -> dict[str, Any]:
    """Confidence interval of a metric that is a function of sums over examples.

    Args:
        metric: its name.
        rows: [N, K], what each example adds to the sums.
        value: sums [..., K] to the metric [...].
        settings: how many resamples, and the level.
        seed: of the resampling.

    Returns:
        ``metric``, ``value``, ``low``, ``high``, ``level``, ``samples``.
    """
    values = value(_resampled_sums(rows, settings.bootstrap_samples, seed))
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return {
        "metric": metric,
        "value": float(value(rows.sum(axis=0))),
        "low": float(low),
        "high": float(high),
        "level": settings.confidence,
        "samples": settings.bootstrap_samples,
    }


def _resampled_sums(rows: Floats, samples: int, seed: int) -> Floats:
    """Sums [samples, K] of N rows drawn with replacement from rows [N, K]."""
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // len(distinct))
    shares, parts = counts / len(rows), []
    for start in range(0, samples, at_once):
        drawn = generator.multinomial(len(rows), shares, size=min(at_once, samples - start))
        parts.append(drawn @ distinct)
    return np.concatenate(parts)
