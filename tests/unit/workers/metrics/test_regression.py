"""Each number against scikit-learn or scipy."""

import json

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy import stats

from job.workers.metrics.regression import compute


def test_every_score_is_the_librarys():
    draw = np.random.default_rng(7)
    labels = draw.normal(size=200).round(1).astype(np.float32)  # rounded: ranks have ties
    logits = (labels + draw.normal(size=200))[:, None].astype(np.float32)
    predicted = logits[:, 0]
    found = compute(logits, labels)
    expected = {
        "mse": sk.mean_squared_error(labels, predicted),
        "loss": sk.mean_squared_error(labels, predicted),
        "rmse": sk.root_mean_squared_error(labels, predicted),
        "mae": sk.mean_absolute_error(labels, predicted),
        "r2": sk.r2_score(labels, predicted),
        "pearson": stats.pearsonr(labels, predicted).statistic,
        "spearman": stats.spearmanr(labels, predicted).statistic,
    }
    assert found == {name: pytest.approx(value, rel=1e-5) for name, value in expected.items()}


@pytest.mark.parametrize(
    ("labels", "predicted", "undefined"),
    [([1, 1], [0, 2], {"r2", "pearson", "spearman"}), ([1, 2], [3, 3], {"pearson", "spearman"})],
)
def test_what_is_undefined_is_none_and_nothing_warns(labels, predicted, undefined):
    found = compute(np.array(predicted)[:, None], np.array(labels))
    assert {name for name, value in found.items() if value is None} == undefined
    json.dumps(found, allow_nan=False)


def test_one_example():
    assert compute(np.array([[3.0]]), np.array([1.0]))["mse"] == 4.0
