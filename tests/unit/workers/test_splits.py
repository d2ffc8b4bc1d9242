"""Splits: exact sizes, proportions, seeds."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.errors import DataError
from job.workers.labels import LabelScheme, recognise
from job.workers.readers.base import Chunk
from job.workers.rows import SCHEMA, RowMaker
from job.workers.selection import select
from job.workers.splits import draw_stratified, label_strata, make_splits
from job.workers.tables import Source
from tests.support.inputs import data_settings


def source(labels: list, split: str = "train") -> Source:
    maker = RowMaker(split, data_settings())
    batch = maker.rows(Chunk({"text": [f"{split} {at}" for at in range(len(labels))], "label": labels}), "a.csv", 1, 0)
    return Source(split, pa.Table.from_batches([batch], SCHEMA), frozenset(maker.kinds), (), ((0, "a.csv"),), ())


def split(labels: list, more: dict[str, list] | None = None, **changes):
    sources = {"train": source(labels)} | {name: source(values, name) for name, values in (more or {}).items()}
    scheme = recognise(sources["train"], data_settings(**changes))
    selections = {name: select(one, scheme) for name, one in sources.items()}
    return make_splits(sources, selections, label_strata(sources["train"], scheme), data_settings(**changes))


def counts(labels: list, rows) -> list[int]:
    return [sum(labels[row] == name for row in rows) for name in sorted(set(labels))]


LABELS = ["a"] * 60 + ["b"] * 30 + ["c"] * 10


def test_a_validation_split_is_stratified_and_exact():
    splits = split(LABELS)
    assert list(splits) == ["train", "eval"]
    assert counts(LABELS, splits["eval"].rows) == [6, 3, 1]
    assert sorted([*splits["train"].rows, *splits["eval"].rows]) == list(range(100))
    assert (splits["train"].examples_in, splits["train"].set_aside, splits["eval"].examples_in) == (100, 10, 10)
    assert splits["eval"].origin == "0.1 of the training data, drawn stratified by label with seed 42"
    assert splits["train"].origin == "JOB_DATA__TRAIN_URI, less 10 examples set aside"


def test_test_and_validation_split_do_not_overlap():
    splits = split(LABELS, test_fraction=0.2)
    assert list(splits) == ["train", "eval", "test"]
    assert counts(LABELS, splits["test"].rows) == [12, 6, 2]
    assert [len(one.rows) for one in splits.values()] == [70, 10, 20]
    assert sorted(row for one in splits.values() for row in one.rows) == list(range(100))


def test_given_splits_are_taken_as_they_are():
    splits = split(LABELS, {"eval": ["a", "b"], "test": ["c"]}, test_fraction=0.2)
    assert [len(one.rows) for one in splits.values()] == [100, 2, 1]
    assert [one.origin for one in splits.values()] == ["JOB_DATA__TRAIN_URI", "JOB_DATA__EVAL_URI", "JOB_DATA__TEST_URI"]


def test_the_seed_decides_and_nothing_else():
    def rows(**changes):
        return split(LABELS, **changes)["eval"].rows.tolist()

    assert rows() == rows() == rows(max_train_examples=5)
    assert rows() != rows(split_seed=1)
    assert rows() == sorted(rows())


def test_subsets_are_drawn_and_counted():
    splits = split(LABELS, max_train_examples=20, max_eval_examples=4)
    assert [len(one.rows) for one in splits.values()] == [20, 4]
    assert [one.subset_left_out for one in splits.values()] == [70, 6]
    assert "20 of 90 by seeded shuffle" in splits["train"].origin
    assert splits["train"].rows.tolist() != split(LABELS)["train"].rows.tolist()[:20]
    assert split(LABELS, max_train_examples=1000)["train"].subset_left_out == 0


def test_a_class_of_one_example_stays_in_training():
    labels = ["a"] * 10 + ["b"] * 10 + ["c"]
    for seed in range(5):
        splits = split(labels, eval_fraction=0.8, split_seed=seed)
        assert 20 in splits["train"].rows
        assert len(splits["eval"].rows) == 17


@pytest.mark.parametrize("labels", [[0.5 * at for at in range(40)], [["a"], ["a", "b"]] * 20])
def test_other_problems_are_split_at_random(labels):
    splits = split(labels, eval_fraction=0.25)
    assert [len(one.rows) for one in splits.values()] == [30, 10]
    assert "at random" in splits["eval"].origin


def test_rows_left_out_are_in_no_split():
    splits = split([*LABELS, None])
    assert 100 not in [*splits["train"].rows, *splits["eval"].rows]
    assert splits["train"].examples_in == 101
    assert splits["train"].set_aside == 10


def test_too_few_examples():
    with pytest.raises(DataError, match="has 2 usable examples: too few"):
        split(["a", "b"], eval_fraction=0.9)
    assert [len(one.rows) for one in split(["a", "b"]).values()] == [1, 1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.data())
def test_drawing_is_exact_and_in_proportion(strata, data):
    strata = np.array(strata)
    size = data.draw(st.integers(1, len(strata) - 1))
    drawn = draw_stratified(strata, size, np.random.default_rng(0))
    assert len(drawn) == len(set(drawn.tolist())) == size
    for name in set(strata.tolist()):
        held, quota = int((strata == name).sum()), int((strata[drawn] == name).sum())
        exact = held * size / len(strata)
        assert quota <= held
        assert quota < held or held > 1 or size > len(strata) - len(set(strata.tolist()))
        if min(np.unique(strata, return_counts=True)[1]) * (1 - size / len(strata)) >= 2:
            assert abs(quota - exact) < 1


def test_stratifying_needs_single_labels():
    assert split([["a"], ["b"]] * 5)["eval"].origin.count("at random") == 1
    assert LabelScheme("regression", "").names == ()
