"""Entities by type against seqeval's report; words; and that plain tags need no entities."""

import numpy as np
import pytest
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from job.workers.metrics.entities import Reading, compute, f1, sentence_counts

TRUTH = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"], ["B-LOC", "I-LOC", "I-LOC"], ["B-ORG"]]
GUESS = [["B-PER", "I-PER", "O", "B-PER"], ["O", "B-LOC"], ["B-LOC", "I-LOC", "O"], ["B-ORG"]]
STRICT = Reading("iob2", strict=True)


def test_the_report_is_seqevals():
    found = compute(TRUTH, GUESS, STRICT)
    report = classification_report(TRUTH, GUESS, mode="strict", scheme=IOB2, output_dict=True)
    for kind in ("PER", "LOC", "ORG"):
        expected = report[kind]
        assert found["per_class"][kind] == {
            "precision": pytest.approx(expected["precision"]),
            "recall": pytest.approx(expected["recall"]),
            "f1": pytest.approx(expected["f1-score"]),
            "support": expected["support"],
        }
    for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
        assert found[name] == pytest.approx(report["micro avg"][key])
        assert found[f"{name}_macro"] == pytest.approx(report["macro avg"][key])
    assert (found["entities"], found["accuracy"]) == (4, 7 / 10)


def test_a_perfect_answer_and_an_empty_one():
    assert compute(TRUTH, TRUTH, STRICT)["f1"] == 1.0
    nothing = compute(TRUTH, [["O"] * len(tags) for tags in TRUTH], STRICT)
    assert (nothing["precision"], nothing["recall"], nothing["f1"]) == (0.0, 0.0, 0.0)


def test_plain_tags_are_scored_by_word():
    found = compute([["NOUN", "VERB"], ["NOUN"]], [["NOUN", "NOUN"], ["NOUN"]], Reading("plain", strict=True))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["per_class"]["NOUN"] == {"precision": pytest.approx(2 / 3), "recall": 1.0, "f1": pytest.approx(0.8), "support": 2}
    assert "f1" not in found


def test_counts_add_up_and_nothing_gives_zero():
    rows = sentence_counts(TRUTH, GUESS, STRICT)
    assert rows.tolist() == [[1, 2, 2], [0, 1, 0], [0, 1, 1], [1, 1, 1]]
    assert f1(rows.sum(axis=0)) == pytest.approx(compute(TRUTH, GUESS, STRICT)["f1"])
    assert f1(np.zeros((2, 3))).tolist() == [0.0, 0.0]
