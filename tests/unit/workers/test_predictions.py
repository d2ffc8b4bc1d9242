"""Predictions in words, mistakes in order, and the file a user opens."""

import numpy as np
import pytest

from job.records import PreparedData
from job.workers.predictions import mistakes, predictions_table, read_predictions


class Rows:
    """A prepared split, as far as this module looks at it."""

    def __init__(self, count):
        self.columns = {
            "id": [f"test-{at}" for at in range(count)],
            "text_sha256": ["0" * 64] * count,
            "text": ["word " * 400] * count,
        }

    def __getitem__(self, key):
        return self.columns[key] if isinstance(key, str) else {name: values[key] for name, values in self.columns.items()}


CASES = {
    "single_label": ([[2.0, 0], [0, 3], [0, 1], [1, 0]], [0, 0, 1, 1], ["a", "a", "b", "b"], ["a", "b", "b", "a"], [1, 3]),
    "multi_label": (
        [[2.0, -3], [-1, -1], [4, 4], [-5, 1]],
        [[1, 0], [1, 0], [1, 1], [1, 1]],
        [["a"], ["a"], ["a", "b"], ["a", "b"]],
        [["a"], [], ["a", "b"], ["b"]],
        [3, 1],
    ),
    "regression": ([[1.0], [2], [3], [4]], [1.0, 2.5, 1.0, 4.0], [1.0, 2.5, 1.0, 4.0], [1.0, 2.0, 3.0, 4.0], [2, 1]),
}


def predictions(problem):
    prepared = PreparedData({}, {}, problem, [] if problem == "regression" else ["a", "b"], [], 8, "0")
    logits, labels, *expected = CASES[problem]
    return prepared, read_predictions(prepared, np.array(logits, np.float32), np.array(labels)), expected


@pytest.mark.parametrize("problem", CASES)
def test_labels_and_predictions_are_in_words(problem):
    _, found, (labels, predicted, _) = predictions(problem)
    assert found.labels == labels
    assert found.predicted == predicted
    assert len(found.scores) == 4


@pytest.mark.parametrize("problem", CASES)
def test_the_surest_mistake_is_first_and_right_ones_are_none(problem):
    _, found, (labels, predicted, order) = predictions(problem)
    # two of single label's have different confidence: row 1 (0.95) before row 3 (0.73)
    listed = mistakes(found, Rows(4))
    assert [each["id"] for each in listed] == [f"test-{at}" for at in order]
    assert [each["label"] for each in listed] == [labels[at] for at in order]
    assert [each["prediction"] for each in listed] == [predicted[at] for at in order]
    assert [each["score"] for each in listed] == sorted((each["score"] for each in listed), reverse=True)
    assert len(listed[0]["text"]) == 1000


def test_scores_of_mistakes():
    assert mistakes(predictions("single_label")[1], Rows(4))[0]["score"] == pytest.approx(1 / (1 + np.exp(-3)))
    assert mistakes(predictions("multi_label")[1], Rows(4))[0]["score"] == pytest.approx(1 / (1 + np.exp(-5)))
    assert mistakes(predictions("regression")[1], Rows(4))[0]["score"] == 2.0


def test_at_most_twenty_mistakes():
    prepared = PreparedData({}, {}, "single_label", ["a", "b"], [], 8, "0")
    found = read_predictions(prepared, np.tile([0.0, 1.0], (50, 1)), np.zeros(50, int))
    assert len(mistakes(found, Rows(50))) == 20


@pytest.mark.parametrize("problem", CASES)
def test_the_table(problem):
    prepared, found, (labels, predicted, _) = predictions(problem)
    table = predictions_table(found, Rows(4), prepared)
    assert table.column_names == ["id", "text_sha256", "label", "prediction", "scores"]
    assert table["label"].to_pylist() == labels
    assert table["prediction"].to_pylist() == predicted
    assert np.array(table["scores"].to_pylist()) == pytest.approx(found.scores, rel=1e-6)
    assert table.schema.metadata[b"problem"].decode() == problem
