"""Rewards and divergence by hand."""

import numpy as np
import pytest

from job.workers.metrics.preference import divergence, judged, on_the_right_side, rewards


def test_rewards():
    found = rewards(np.array([1.0, 0.5, 0.0]), np.array([0.0, 0.5, 3.0]))
    expected = {"reward_accuracy": 1 / 3, "reward_margin": -2 / 3, "reward_chosen": 0.5, "reward_rejected": 3.5 / 3}
    assert found == pytest.approx(expected)


def test_divergence_is_per_token():
    assert divergence(np.array([-4.0, -6.0]), np.array([-3.0, -4.0]), np.array([2.0, 4.0])) == pytest.approx(0.5)


def test_divergence_estimates_the_kl_of_answers_drawn_from_the_reference():
    draw = np.random.default_rng(0)
    reference, policy = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    tokens = draw.choice(3, size=(4000, 5), p=reference)
    found = divergence(np.log(policy)[tokens].sum(1), np.log(reference)[tokens].sum(1), np.full(4000, 5.0))
    assert found == pytest.approx(float((reference * np.log(reference / policy)).sum()), rel=0.05)


def test_judged_one_by_one():
    given, good = np.array([2.0, 0.5, 0.5, -1.0]), np.array([True, True, False, False])
    assert on_the_right_side(given, 1.0, good).tolist() == [True, False, True, True]
    expected = {"reward_accuracy": 0.75, "reward_desirable": 1.25, "reward_undesirable": -0.25, "reward_margin": 1.5}
    assert judged(given, 1.0, good) == pytest.approx(expected)
    assert judged(np.zeros(2), 0.0, good[1:3]) == {**dict.fromkeys(expected, 0.0)}  # what tells none apart gets 0
    assert judged(given[:2], 0.0, good[:2]).keys() == {"reward_accuracy", "reward_desirable"}
