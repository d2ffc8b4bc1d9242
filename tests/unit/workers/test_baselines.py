"""The constant answer."""

import numpy as np
import pytest

from job.records import PreparedData
from job.workers.baselines import constant_logits
from job.workers.metrics import table


def prepared(problem, labels, counts):
    return PreparedData({"train": 10}, {"train": 50}, problem, labels, counts, 16, "0")


def test_single_label_predicts_the_majority_with_the_shares_as_probabilities():
    logits = constant_logits(prepared("single_label", ["a", "b", "c"], [3, 7, 0]), None, 4)
    found = table.compute("single_label", logits, np.array([1, 1, 0, 1]), ["a", "b", "c"])
    assert logits.shape == (4, 3)
    assert np.exp(logits[0]) == pytest.approx([0.3, 0.7, 0.0], abs=1e-9)
    assert found["accuracy"] == 0.75
    assert found["log_loss"] == pytest.approx(-(3 * np.log(0.7) + np.log(0.3)) / 4)


def test_multi_label_predicts_what_more_than_half_have():
    logits = constant_logits(prepared("multi_label", ["a", "b", "c"], [2, 8, 10]), None, 2)
    assert (1 / (1 + np.exp(-logits[0]))) == pytest.approx([0.2, 0.8, 1.0], abs=1e-9)
    assert np.isfinite(logits).all()


def test_regression_predicts_the_mean_of_the_training_data():
    logits = constant_logits(prepared("regression", [], []), [1.0, 2.0, 6.0], 3)
    assert logits.tolist() == [[3.0]] * 3
    assert table.compute("regression", logits, np.array([3.0, 2.0, 4.0]), [])["r2"] == 0.0
