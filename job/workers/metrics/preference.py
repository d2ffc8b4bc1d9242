"""Metrics of learned preferences.  N pairs of a chosen and a rejected answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def rewards(chosen: Floats, rejected: Floats) -> dict[str, Any]:
    """Means over N pairs; an answer is only preferred when its reward is higher, so a model that tells none apart gets 0."""
    return {
        "reward_accuracy": float((chosen > rejected).mean()),
        "reward_margin": float((chosen - rejected).mean()),
        "reward_chosen": float(chosen.mean()),
        "reward_rejected": float(rejected.mean()),
    }


def divergence(policy: Floats, reference: Floats, tokens: Floats) -> float:
    """Estimate of KL(reference ‖ model) per token, from summed log-probabilities of answers: the mean of log π_ref - log π.

    It is one as far as the answers were drawn from the reference; otherwise it says by how much the data's answers have become
    less likely.  It may be negative.
    """
    return float((reference - policy).sum() / np.maximum(tokens.sum(), 1))
