"""Losses and measures over pairs of a chosen and a rejected answer, from summed log-probabilities.  Pure functions.

Names follow the papers: π is the model that is trained, π_ref the frozen one it started from, β how dear it is to leave π_ref.
The reward that π gives an answer y is β·log(π(y|x)/π_ref(y|x)).

    sigmoid        Direct Preference Optimization, Rafailov et al. 2023, arXiv 2305.18290; with label smoothing the
                   conservative form of its appendix: the share of pairs that are labelled the wrong way round
    ipo            Azar et al. 2023, arXiv 2310.12036, equation 17, with log-probabilities per token of the answer
    sigmoid_norm   sigmoid over log-probabilities per token of the answer
    orpo           Hong et al. 2024, arXiv 2403.07691: no reference; the loss on the chosen answer plus β times -log sigmoid of the
                   log odds ratio

Shapes: B pairs, T tokens of the longest answer with its prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

Tensor = torch.Tensor
NOT_TRAINED = -100


@dataclass(frozen=True)
class Answers:
    """Summed log-probabilities [B] of answers under one model, and their numbers of tokens [B]."""

    chosen: Tensor
    rejected: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor

    def per_token(self) -> tuple[Tensor, Tensor]:
        """Mean log-probability of a token of the chosen and of the rejected answers."""
        return self.chosen / self.chosen_tokens, self.rejected / self.rejected_tokens


@dataclass(frozen=True)
class Reference:
    """Summed log-probabilities [B] under the reference."""

    chosen: Tensor
    rejected: Tensor


@dataclass(frozen=True)
class Strength:
    """β, and the assumed share of pairs whose labels are the wrong way round."""

    beta: float
    label_smoothing: float = 0.0


def answer_log_probabilities(logits_BTV: Tensor, labels_BT: Tensor) -> tuple[Tensor, Tensor]:  # noqa: N803 - shapes
    """Sum of log π of the answer's tokens [B] in float32, and their number [B].

    Args:
        logits_BTV: the logits at position t are for the token at t + 1.
        labels_BT: token ids, `NOT_TRAINED` where a token is no part of the answer.
    """
    targets = labels_BT[:, 1:]
    counted = targets != NOT_TRAINED
    with torch.autocast(logits_BTV.device.type, enabled=False):
        # Of the answers' tokens alone, in float32: all positions times a vocabulary are most of the memory.
        losses = functional.cross_entropy(logits_BTV[:, :-1][counted].float(), targets[counted], reduction="none")
    return -torch.zeros_like(targets, dtype=losses.dtype).masked_scatter(counted, losses).sum(dim=1), counted.sum(dim=1)


def _smoothed(scores: Tensor, smoothing: float) -> Tensor:
    """-log sigmoid of scores, of which a share is taken to be the wrong way round."""
    return -functional.logsigmoid(scores) * (1 - smoothing) - functional.logsigmoid(-scores) * smoothing


def _sigmoid(policy: Answers, reference: Reference, strength: Strength) -> Tensor:
    return _smoothed(strength.beta * _margin(policy, reference), strength.label_smoothing)


def _ipo(policy: Answers, reference: Reference, strength: Strength) -> Tensor:
    return (_margin_per_token(policy, reference) - 1 / (2 * strength.beta)).square()


def _sigmoid_norm(policy: Answers, reference: Reference, strength: Strength) -> Tensor:
    return _smoothed(strength.beta * _margin_per_token(policy, reference), strength.label_smoothing)


def _orpo(policy: Answers, _: Reference, strength: Strength) -> Tensor:
    chosen, rejected = policy.per_token()
    log_odds = (chosen - rejected) - (_log1mexp(chosen) - _log1mexp(rejected))
    return -chosen - strength.beta * functional.logsigmoid(log_odds)


def _margin(policy: Answers, reference: Reference) -> Tensor:
    return (policy.chosen - reference.chosen) - (policy.rejected - reference.rejected)


def _margin_per_token(policy: Answers, reference: Reference) -> Tensor:
    chosen = (policy.chosen - reference.chosen) / policy.chosen_tokens
    return chosen - (policy.rejected - reference.rejected) / policy.rejected_tokens


def _log1mexp(values: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0, by the branch that keeps the digits."""
    near = values > -0.6931
    close = torch.log(-torch.expm1(values.clamp(max=-1e-7)))
    return torch.where(near, close, torch.log1p(-torch.exp(values)))


LOSSES: dict[str, Callable[[Answers, Reference, Strength], Tensor]] = {
    "sigmoid": _sigmoid,
    "ipo": _ipo,
    "sigmoid_norm": _sigmoid_norm,
    "orpo": _orpo,
}
PER_TOKEN = frozenset({"ipo", "sigmoid_norm", "orpo"})
"""Losses over log-probabilities per token of the answer; rewards are told in the same unit."""
WITHOUT_REFERENCE = frozenset({"orpo"})
"""Losses that look at no reference, so that none is computed for training."""


def reward_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """-log sigmoid(r_chosen - r_rejected) of each pair [B]: the Bradley-Terry likelihood of the preference."""
    return -functional.logsigmoid(chosen - rejected)
