"""Metrics of predicted tokens, from sums over records.

Shapes: N records.
"""

from __future__ import annotations

import difflib
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from job.errors import HopelessError, SettingsError

MAIN = "loss"
_SMALLER = ("loss", "perplexity", "bits_per_byte")
_GREATER = ("token_accuracy",)
_LARGEST_EXPONENT = 700.0


def greater_is_better(metric: str) -> bool:
    """Direction of a metric.

    Raises:
        SettingsError: when there is no such metric.
    """
    if metric not in _SMALLER + _GREATER:
        valid = sorted(_SMALLER + _GREATER)
        near = difflib.get_close_matches(metric, valid, n=1, cutoff=0.5)
        raise SettingsError(
            "JOB_EVAL__BEST_METRIC names no metric of a language model." + (f" Nearest: {near[0]}." if near else ""),
            f"Set JOB_EVAL__BEST_METRIC to auto, none, or one of {', '.join(valid)}.",
        )
    return metric in _GREATER


def compute(
    losses: npt.NDArray[Any], tokens: npt.NDArray[Any], correct: npt.NDArray[Any], num_bytes: npt.NDArray[Any]
) -> dict[str, Any]:
    """Loss in nats a token, perplexity, share of tokens predicted right, bits per byte where bytes are known.

    Args:
        losses: [N] sum of the losses of a record's targets, in nats.
        tokens: [N] number of its targets.
        correct: [N] how many of them the model puts first.
        num_bytes: [N] bytes of text they stand for; all 0 where that has no meaning.
    """
    broken = int((~np.isfinite(losses)).sum())
    if broken:
        raise HopelessError(
            f"The model's output is not a finite number for {broken} of {len(losses)} examples: training has diverged.",
            "Lower JOB_TRAIN__LEARNING_RATE, or set JOB_TRAIN__PRECISION=fp32.",
        )
    loss = float(losses.sum() / tokens.sum())
    found: dict[str, Any] = {
        "loss": loss,
        "perplexity": math.exp(loss) if loss < _LARGEST_EXPONENT else None,
        "token_accuracy": float(correct.sum() / tokens.sum()),
    }
    if num_bytes.sum():
        found["bits_per_byte"] = float(losses.sum() / num_bytes.sum() / math.log(2))
    return found | {"num_tokens": int(tokens.sum())}
