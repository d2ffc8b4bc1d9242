"""Each number against scikit-learn."""

import json

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.special import expit

from job.workers.metrics.multi_label import compute

NAMES = ["a", "b", "c"]


def test_every_score_is_scikit_learns():
    draw = np.random.default_rng(5)
    labels = (draw.random((300, 3)) < [0.5, 0.2, 0.8]).astype(np.float32)
    logits = (draw.normal(size=(300, 3)) + labels).astype(np.float32)
    probabilities = expit(logits.astype(np.float64))
    predicted = (probabilities > 0.5).astype(int)
    found = compute(logits, labels, NAMES)
    assert found["subset_accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, probabilities, average="macro"))
    mean_log_loss = np.mean([sk.log_loss(labels[:, at], probabilities[:, at]) for at in range(3)])
    assert found["log_loss"] == pytest.approx(mean_log_loss, rel=1e-12)
    assert found["loss"] == pytest.approx(mean_log_loss, rel=1e-12)
    for average in ("macro", "micro", "weighted"):
        assert found[f"precision_{average}"] == pytest.approx(sk.precision_score(labels, predicted, average=average))
        assert found[f"recall_{average}"] == pytest.approx(sk.recall_score(labels, predicted, average=average))
        assert found[f"f1_{average}"] == pytest.approx(sk.f1_score(labels, predicted, average=average))
    for at, name in enumerate(NAMES):
        ours = found["per_label"][name]
        assert ours["f1"] == pytest.approx(sk.f1_score(labels[:, at], predicted[:, at]))
        assert ours["support"] == labels[:, at].sum()
        assert ours["roc_auc"] == pytest.approx(sk.roc_auc_score(labels[:, at], probabilities[:, at]))


def test_what_is_undefined_is_none_and_nothing_warns():
    found = compute(np.array([[1.0, -1.0], [2.0, -1.0]]), np.array([[1, 0], [0, 0]]), ["a", "b"])
    assert found["roc_auc"] is None
    assert found["per_label"]["a"]["roc_auc"] == 0.0
    assert found["per_label"]["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0, "roc_auc": None}
    json.dumps(found, allow_nan=False)


def test_a_single_label_is_scored_as_yes_or_no():
    labels = np.array([[1.0], [0.0], [1.0], [0.0]])
    found = compute(np.array([[1.0], [1.0], [-1.0], [-1.0]]), labels, ["a"])
    assert found["f1_micro"] == found["f1_macro"] == found["per_label"]["a"]["f1"] == 0.5
    assert found["per_label"]["a"]["support"] == 2


def test_loss_does_not_round_to_zero():
    assert compute(np.array([[-800.0]]), np.array([[1.0]]), ["a"])["loss"] == 800.0
