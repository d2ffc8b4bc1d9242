"""The bootstrap: against the plain way of doing it, and against the theory."""

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy import stats

from job.settings.evaluation import EvalSettings
from job.workers.metrics.interval import main_interval, ratio_interval


def settings(samples=4000, confidence=0.9):
    return EvalSettings(bootstrap_samples=samples, confidence=confidence)


def plainly(metric, count, samples=1500):
    """The 5th and 95th percentile of a metric over index draws."""
    draw = np.random.default_rng(0)
    return np.quantile([metric(draw.integers(0, count, count)) for _ in range(samples)], [0.05, 0.95])


def test_accuracy_is_binomial():
    logits = np.zeros((500, 2))
    logits[:400, 0] = 1.0
    logits[400:, 1] = 1.0
    found = main_interval("single_label", logits, np.zeros(500, int), settings(), 1)
    assert found == {"metric": "accuracy", "value": 0.8, "low": found["low"], "high": found["high"], "level": 0.9, "samples": 4000}
    assert [found["low"], found["high"]] == pytest.approx(stats.binom.ppf([0.05, 0.95], 500, 0.8) / 500, abs=0.004)


def test_micro_f1_agrees_with_index_draws():
    draw = np.random.default_rng(1)
    labels = draw.integers(0, 2, (150, 3))
    logits = draw.normal(size=(150, 3)) + labels
    found = main_interval("multi_label", logits, labels.astype(np.float32), settings(), 1)
    predicted = (logits > 0).astype(int)
    assert found["value"] == pytest.approx(sk.f1_score(labels, predicted, average="micro"))
    truth, guess = labels.astype(bool), predicted.astype(bool)
    expected = plainly(lambda at: 2 * (truth[at] & guess[at]).sum() / (truth[at].sum() + guess[at].sum()), 150)
    assert [found["low"], found["high"]] == pytest.approx(expected, abs=0.01)


def test_squared_error_agrees_with_index_draws():
    draw = np.random.default_rng(2)
    labels, predicted = draw.normal(size=150), draw.normal(size=150)
    found = main_interval("regression", predicted[:, None], labels, settings(), 1)
    errors = (labels - predicted) ** 2
    assert found["value"] == pytest.approx(errors.mean())
    assert [found["low"], found["high"]] == pytest.approx(plainly(lambda at: errors[at].mean(), 150), rel=0.03)


def test_the_seed_decides():
    logits, labels = np.random.default_rng(3).normal(size=(80, 1)), np.arange(80) % 2
    one, same, other = (main_interval("regression", logits, labels, settings(), seed) for seed in (1, 1, 2))
    assert one == same
    assert (one["low"], one["high"]) != (other["low"], other["high"])


def test_no_positive_at_all_is_zero_not_nan():
    found = main_interval("multi_label", -np.ones((9, 2)), np.zeros((9, 2)), settings(100), 1)
    assert (found["value"], found["low"], found["high"]) == (0.0, 0.0, 0.0)


def test_a_ratio_of_sums_agrees_with_index_draws():
    draw = np.random.default_rng(2)
    tokens = draw.integers(1, 50, 200)
    losses = tokens * draw.normal(3, 0.5, 200)
    found = ratio_interval("loss", (losses, tokens), settings(), 1)
    assert found["value"] == pytest.approx(losses.sum() / tokens.sum())
    expected = plainly(lambda at: losses[at].sum() / tokens[at].sum(), 200)
    assert [found["low"], found["high"]] == pytest.approx(expected, abs=0.01)
