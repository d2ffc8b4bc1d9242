"""Names and directions of metrics."""

import numpy as np
import pytest

from job.errors import SettingsError
from job.workers.metrics import table

CASES = {
    "single_label": (np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1]), ["a", "b"]),
    "multi_label": (np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([[1, 0], [0, 1]]), ["a", "b"]),
    "regression": (np.array([[1.0], [0.5], [0.0]]), np.array([0.5, 2, 1]), []),
}


@pytest.mark.parametrize("problem", CASES)
def test_every_single_number_has_a_direction_and_the_other_way_round(problem):
    found = table.compute(problem, *CASES[problem])
    numbers = {name for name, value in found.items() if isinstance(value, float)}
    directed = {*table._GREATER[problem], *table._SMALLER[problem]}
    assert numbers == directed
    assert not {*table._GREATER[problem]} & {*table._SMALLER[problem]}
    assert table.main_metric(problem) in numbers


@pytest.mark.parametrize("problem", CASES)
def test_a_better_model_is_better_by_every_metric(problem):
    logits, labels, names = CASES[problem]
    perfect = labels[:, None].astype(float) if problem == "regression" else logits * 9
    good, poor = table.compute(problem, perfect, labels, names), table.compute(problem, -logits, labels, names)
    for name, value in good.items():
        if isinstance(value, float) and name != "ece":
            assert (value > poor[name]) == table.greater_is_better(problem, name), name


def test_an_unknown_metric_names_the_nearest_and_the_valid_ones():
    with pytest.raises(SettingsError, match=r"JOB_EVAL__BEST_METRIC.*single_label.*Nearest: f1_macro") as caught:
        table.greater_is_better("single_label", "f1_makro")
    assert "accuracy, balanced_accuracy" in caught.value.hint
    with pytest.raises(SettingsError, match="regression"):
        table.greater_is_better("regression", "accuracy")
