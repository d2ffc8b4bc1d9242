"""Each number against scikit-learn or a case small enough to compute by hand."""

import json
import math

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.special import softmax

from job.workers.metrics.single_label import _calibration, compute

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def case():
    draw = np.random.default_rng(3)
    labels = draw.integers(0, 3, 400)
    logits = (draw.normal(size=(400, 3)) + 1.2 * np.eye(3)[labels]).astype(np.float32)
    return logits, labels, softmax(logits.astype(np.float64), axis=1), logits.argmax(axis=1)


def test_every_score_is_scikit_learns(case):
    logits, labels, probabilities, predicted = case
    found = compute(logits, labels, NAMES)
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "mcc": sk.matthews_corrcoef(labels, predicted),
        "log_loss": sk.log_loss(labels, probabilities),
        "loss": sk.log_loss(labels, probabilities),
        "roc_auc": sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
    }
    for average in ("macro", "micro", "weighted"):
        expected[f"precision_{average}"] = sk.precision_score(labels, predicted, average=average)
        expected[f"recall_{average}"] = sk.recall_score(labels, predicted, average=average)
        expected[f"f1_{average}"] = sk.f1_score(labels, predicted, average=average)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    assert found["confusion_matrix"] == sk.confusion_matrix(labels, predicted).tolist()
    report = sk.classification_report(labels, predicted, target_names=NAMES, output_dict=True)
    for name in NAMES:
        ours = found["per_class"][name]
        assert [ours["precision"], ours["recall"], ours["f1"], ours["support"]] == pytest.approx(
            [report[name]["precision"], report[name]["recall"], report[name]["f1-score"], report[name]["support"]]
        )


def test_calibration_by_hand():
    """Confidences 0.6 (bin 9, right), 0.65 (bin 10, wrong), 0.9 and 0.92 (bin 14, one right): bins of width 1/15, counted from 1."""
    top = np.array([0.6 - 1e-9, 0.65, 0.9, 0.92])
    logits = np.log(np.stack([top, 1 - top], axis=1))
    found = compute(logits, np.array([0, 1, 0, 1]), ["a", "b"])
    table = found["calibration"]
    assert np.nonzero(table["counts"])[0].tolist() == [8, 9, 13]
    assert len(table["edges"]) == 16
    assert table["accuracy"][13] == 0.5
    assert table["confidence"][13] == pytest.approx(0.91)
    assert table["accuracy"][0] is None
    assert table["confidence"][0] is None
    assert found["ece"] == pytest.approx((abs(1 - 0.6) + abs(0 - 0.65) + 2 * abs(0.5 - 0.91)) / 4, abs=1e-8)


def test_a_bin_includes_its_upper_edge():
    edges = np.linspace(0, 1, 16)
    assert _calibration(edges[[9, 15]], np.array([True, True]))["counts"] == [0] * 8 + [1] + [0] * 5 + [1]


def test_binary_roc_auc_is_of_the_second_class():
    logits = np.array([[0.0, 0.1], [0.0, 0.4], [0.0, 0.35], [0.0, 0.8]])
    assert compute(logits, np.array([0, 0, 1, 1]), ["a", "b"])["roc_auc"] == 0.75


def test_what_is_undefined_is_none_and_nothing_warns():
    """A class that neither occurs nor is predicted, and one that is predicted only."""
    logits = np.array([[5.0, 0, 0], [0, 5.0, 0], [5.0, 0, 0]])
    found = compute(logits, np.array([0, 0, 0]), NAMES)
    assert found["roc_auc"] is None
    assert found["balanced_accuracy"] == pytest.approx(2 / 3)
    assert found["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert found["f1_macro"] == pytest.approx(0.4)  # (0.8 + 0) / 2: class c is in neither
    assert found["mcc"] == 0.0
    assert np.shape(found["confusion_matrix"]) == (3, 3)
    json.dumps(found, allow_nan=False)


def test_a_certain_mistake_has_a_large_loss_and_a_bounded_log_loss():
    found = compute(np.array([[2000.0, 0.0]], dtype=np.float32), np.array([1]), ["a", "b"])
    assert found["loss"] == 2000.0
    assert found["log_loss"] == pytest.approx(-math.log(np.finfo(np.float64).eps))


def test_one_example():
    found = compute(np.array([[1.0, 0.0]]), np.array([0]), ["a", "b"])
    assert found["accuracy"] == 1.0
    json.dumps(found, allow_nan=False)
