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


def judged(rewards_: Floats, border: float, desirable: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Of N answers that were judged one by one.

    Args:
        rewards_: [N].
        border: the reward from which a gain or a loss is counted.
        desirable: [N] which answers were judged good.

    Returns:
        ``reward_accuracy``, the share of answers on their side of the border, so that a model that tells none apart gets 0; the
        mean rewards of both kinds, and their ``reward_margin``, where there are answers of that kind.
    """
    found: dict[str, Any] = {"reward_accuracy": float(on_the_right_side(rewards_, border, desirable).mean())}
    good, bad = rewards_[desirable], rewards_[~desirable]
    found |= {f"reward_{name}": float(of.mean()) for name, of in (("desirable", good), ("undesirable", bad)) if len(of)}
    return found | ({"reward_margin": float(good.mean() - bad.mean())} if len(good) and len(bad) else {})


def on_the_right_side(rewards_: Floats, border: float, desirable: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which answers [N] are good with a reward above the border, or bad with one below it."""
    right: npt.NDArray[np.bool_] = np.where(desirable, rewards_ > border, rewards_ < border)
    return right


def divergence(policy: Floats, reference: Floats, tokens: Floats) -> float:
    """Estimate of KL(reference ‖ model) per token, from summed log-probabilities of answers: the mean of log π_ref - log π.

    It is one as far as the answers were drawn from the reference; otherwise it says by how much the data's answers have become
    less likely.  It may be negative.
    """
    return float((reference - policy).sum() / np.maximum(tokens.sum(), 1))
