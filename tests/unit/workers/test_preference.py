"""Losses by hand and by their limits; against trl they are held in the integration tests, on a model."""

import math

import pytest
import torch
from torch.nn import functional

from job.workers.preference import (
    LOSSES,
    NOT_TRAINED,
    WITHOUT_REFERENCE,
    Answers,
    Reference,
    Strength,
    answer_log_probabilities,
    reward_loss,
)

POLICY = Answers(torch.tensor([-3.0, -8.0]), torch.tensor([-5.0, -6.0]), torch.tensor([4, 2]), torch.tensor([5, 3]))
REFERENCE = Reference(torch.tensor([-4.0, -7.0]), torch.tensor([-4.5, -6.5]))


def test_log_probabilities_are_of_the_answer_alone():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 6)
    labels = torch.tensor([[NOT_TRAINED, NOT_TRAINED, 3, 5], [NOT_TRAINED, 1, NOT_TRAINED, NOT_TRAINED]])
    sums, counts = answer_log_probabilities(logits, labels)
    exact = functional.log_softmax(logits, dim=-1)
    assert counts.tolist() == [2, 1]
    assert sums.tolist() == pytest.approx([float(exact[0, 1, 3] + exact[0, 2, 5]), float(exact[1, 0, 1])], rel=1e-5)


def sigmoid(value):
    return -math.log(1 / (1 + math.exp(-value)))


@pytest.mark.parametrize(
    ("name", "smoothing", "expected"),
    [
        ("sigmoid", 0.0, [sigmoid(0.2 * 1.5), sigmoid(0.2 * -1.5)]),
        ("sigmoid", 0.1, [0.9 * sigmoid(0.3) + 0.1 * sigmoid(-0.3), 0.9 * sigmoid(-0.3) + 0.1 * sigmoid(0.3)]),
        ("ipo", 0.0, [(1 / 4 + 0.5 / 5 - 2.5) ** 2, (-1 / 2 - 0.5 / 3 - 2.5) ** 2]),
        ("sigmoid_norm", 0.0, [sigmoid(0.2 * (1 / 4 + 0.5 / 5)), sigmoid(0.2 * (-1 / 2 - 0.5 / 3))]),
    ],
)
def test_losses_by_hand(name, smoothing, expected):
    assert LOSSES[name](POLICY, REFERENCE, Strength(0.2, smoothing)).tolist() == pytest.approx(expected, rel=1e-5)


def test_orpo_by_hand():
    def log_odds(mean):
        return math.log(math.exp(mean) / (1 - math.exp(mean)))

    expected = [
        -chosen + 0.2 * sigmoid(log_odds(chosen) - log_odds(rejected)) for chosen, rejected in ((-3 / 4, -1.0), (-4.0, -2.0))
    ]
    assert LOSSES["orpo"](POLICY, REFERENCE, Strength(0.2)).tolist() == pytest.approx(expected, rel=1e-5)
    sure = Answers(torch.tensor([-1e-9]), torch.tensor([-50.0]), torch.tensor([1]), torch.tensor([1]))
    assert torch.isfinite(LOSSES["orpo"](sure, REFERENCE, Strength(0.2))).all()


@pytest.mark.parametrize("name", sorted(set(LOSSES) - WITHOUT_REFERENCE))
def test_the_start_is_neutral(name):
    """At the reference itself every pair has the same loss, whatever its length."""
    start = Answers(REFERENCE.chosen, REFERENCE.rejected, POLICY.chosen_tokens, POLICY.rejected_tokens)
    losses = LOSSES[name](start, REFERENCE, Strength(0.1))
    assert losses[0] == losses[1]
    assert float(losses[0]) == pytest.approx(math.log(2) if name.startswith("sigmoid") else 25.0)


@pytest.mark.parametrize("name", LOSSES)
def test_a_likelier_choice_is_a_smaller_loss(name):
    chosen = torch.tensor([-3.0], requires_grad=True)
    rejected = torch.tensor([-3.0], requires_grad=True)
    lengths = torch.tensor([3])
    reference = Reference(torch.tensor([-3.0]), torch.tensor([-3.0]))
    LOSSES[name](Answers(chosen, rejected, lengths, lengths), reference, Strength(0.1)).sum().backward()
    assert chosen.grad < 0 < rejected.grad


def test_reward_loss():
    assert reward_loss(torch.tensor([1.0]), torch.tensor([-1.0])).item() == pytest.approx(sigmoid(2.0))
