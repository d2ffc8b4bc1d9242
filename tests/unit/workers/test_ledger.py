"""The ledger adds up."""

import json

import numpy as np
import pyarrow as pa
import pytest

from job.workers.labels import LabelScheme
from job.workers.ledger import HISTOGRAM_BINS, PreparedSplits, count_labels, describe_labels, make_ledger
from job.workers.overlap import Overlap
from job.workers.selection import Selection
from job.workers.splits import Split
from job.workers.tokenization import TokenizedSplit

SCHEME = LabelScheme("single_label", "because", ("a", "b", "c"))


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def tokenized(lengths: list[int], longest: int, labels: list) -> TokenizedSplit:
    return TokenizedSplit(
        tokens_in=[np.array(lengths, np.int32)],
        tokens_kept=[np.minimum(lengths, longest).astype(np.int32)],
        identifiers=[pa.chunked_array([[str(at) for at in range(len(lengths))]])],
        labels=[np.array(labels)],
        without_tokens=["train-9"],
        longest=[{"id": "0", "tokens": max(lengths), "text": "x"}],
        num_records=len(lengths),
    )


NONE_TWICE = Overlap({}, {}, 0)


def made(split, found, scheme, overlap=NONE_TWICE, notes=()):
    return make_ledger(
        PreparedSplits({"train": split}, {"train": found}, overlap, 8), describe_labels(scheme, {"train": found}), list(notes)
    )


@pytest.fixture
def ledger():
    selection = Selection(rows(0, 1, 2, 3, 4, 5), rows(6, 7), rows(8), rows())
    split = Split("train", None, rows(0, 1, 2, 3), "there", 9, 1, 1, selection)
    found = tokenized([3, 10, 5], 8, [0, 0, 1])
    return made(split, found, SCHEME, Overlap({"within_train": 0}, {}, 2), ["first"])


def test_examples_add_up(ledger):
    entry = ledger["splits"]["train"]
    parts = ("empty_dropped", "unlabelled_dropped", "unknown_label_dropped", "set_aside", "subset_left_out", "examples_kept")
    assert {name: entry[name] for name in parts} == dict(zip(parts, (3, 1, 0, 1, 1, 3), strict=True))
    assert sum(entry[name] for name in parts) == entry["examples_in"]


def test_tokens_add_up(ledger):
    entry = ledger["splits"]["train"]
    assert (entry["tokens_in"], entry["tokens_kept"], entry["truncated_examples"], entry["truncated_tokens"]) == (18, 16, 1, 2)
    assert entry["length_quantiles"] == {"min": 3, "p10": 3, "p50": 5, "p90": 10, "p99": 10, "max": 10}
    edges, counts = entry["length_histogram"]["edges"], entry["length_histogram"]["counts"]
    assert (sum(counts), len(edges)) == (3, len(counts) + 1)
    assert edges[-1] > 10
    assert counts[edges.index(5)] == 1


def test_it_is_plain_json_and_keeps_what_it_was_told(ledger):
    assert json.loads(json.dumps(ledger)) == ledger
    assert (ledger["problem"], ledger["problem_reason"], ledger["labels"]) == ("single_label", "because", ["a", "b", "c"])
    assert ledger["max_seq_length"] == 8
    assert ledger["splits"]["train"]["label_counts"] == {"a": 2, "b": 1, "c": 0}


def test_notes_say_what_was_assumed(ledger):
    assert ledger["notes"][:2] == ["first", "train: there."]
    joined = " ".join(ledger["notes"])
    for words in (
        "1 train texts were dropped as empty",
        "No train example has the label 'c'",
        "no test data",
        "2 training texts occur",
    ):
        assert words in joined


@pytest.mark.parametrize("longest", [1, HISTOGRAM_BINS, HISTOGRAM_BINS + 1, 100_000])
def test_histograms_have_few_bins_and_hold_all(longest):
    split = Split("train", None, rows(0, 1), "there", 2)
    found = tokenized([1, longest], longest, [0, 1])
    histogram = made(split, found, SCHEME)["splits"]["train"]["length_histogram"]
    assert sum(histogram["counts"]) == 2
    assert len(histogram["counts"]) <= HISTOGRAM_BINS + 1


def test_label_counts_by_problem():
    assert count_labels(tokenized([1, 1], 1, [2, 2]), SCHEME) == [0, 0, 2]
    several = LabelScheme("multi_label", "", ("a", "b"))
    assert count_labels(tokenized([1, 1], 1, np.array([[1, 1], [0, 1]], np.float32)), several) == [1, 2]
    number = LabelScheme("regression", "")
    found = tokenized([1, 1], 1, np.array([0.5, -2], np.float32))
    assert count_labels(found, number) == []
    split = Split("train", None, rows(0, 1), "there", 2)
    assert made(split, found, number)["splits"]["train"]["label_range"] == [-2.0, 0.5]
