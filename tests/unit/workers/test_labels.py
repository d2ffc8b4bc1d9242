"""What labels are taken for, and what they become."""

import numpy as np
import pyarrow as pa
import pytest

from job.errors import DataError
from job.workers.labels import LabelScheme, as_scores, canonical, check_labels, label_notes, recognise
from job.workers.readers.base import Chunk
from job.workers.rows import SCHEMA, RowMaker
from job.workers.tables import Source
from tests.support.inputs import data_settings


def source(given: list, names: tuple[str, ...] = (), **changes) -> Source:
    maker = RowMaker("train", data_settings(**changes))
    batches = [maker.rows(Chunk({"text": ["x"], "label": [label]}), "a.csv", at + 1, at) for at, label in enumerate(given)]
    return Source("train", pa.Table.from_batches(batches, SCHEMA), frozenset(maker.kinds), names, ((0, "a.csv"),), ())


def scheme_of(given: list, names: tuple[str, ...] = (), **changes) -> LabelScheme:
    return recognise(source(given, names, **changes), data_settings(**changes))


def column(labels: list) -> pa.Array:
    return source(labels).table["label"].combine_chunks()


@pytest.mark.parametrize(
    ("labels", "problem", "names"),
    [
        (["pos", "neg", "pos"], "single_label", ("neg", "pos")),
        ([True, False], "single_label", ("false", "true")),
        ([10, 9, 1], "single_label", ("1", "9", "10")),
        (["10", "9", "-1"], "single_label", ("-1", "9", "10")),
        (["01", "1", "2"], "single_label", ("01", "1", "2")),
        ([1.0, 2.0, float("nan")], "single_label", ("1", "2")),
        (["1.0", "2"], "single_label", ("1", "2")),
        (["1", "2", "?"], "single_label", ("1", "2", "?")),
        ([["a", "b"], ["c"]], "multi_label", ("a", "b", "c")),
        ([0.5, 1.0], "regression", ()),
        (["0.5", "1"], "regression", ()),
        (["1e-3", "1"], "regression", ()),
    ],
)
def test_problem_and_names_are_recognised(labels, problem, names):
    scheme = scheme_of(labels)
    assert (scheme.problem, scheme.names) == (problem, names)
    assert scheme.reason


def test_names_of_the_settings_and_of_the_data_keep_their_order():
    assert scheme_of(["a", "b"], labels=("b", "a")).names == ("b", "a")
    assert scheme_of(["a", "b"], ("b", "a", "c")).names == ("b", "a", "c")
    assert scheme_of(["a", "b"], ("b", "a"), labels=("a", "b")).names == ("a", "b")


def test_numbers_become_classes_where_the_settings_name_them():
    scheme = scheme_of([1.0, 0.0, 1.0], labels=("1", "0"))
    assert scheme.encode(column([1.0, 0.0])).to_pylist() == [0, 1]


def test_many_distinct_values_are_not_guessed():
    for labels in (list(range(51)), [f"name {at}" for at in range(51)]):
        with pytest.raises(DataError, match="51 distinct") as caught:
            scheme_of(labels)
        assert "JOB_DATA__PROBLEM" in caught.value.hint
    assert scheme_of(list(range(50))).problem == "single_label"
    assert scheme_of([*range(51)] * 5).problem == "single_label"
    assert scheme_of(list(range(51)), problem="regression").problem == "regression"
    assert len(scheme_of(list(range(51)), problem="single_label").names) == 51


def test_one_class_is_nothing_to_learn():
    with pytest.raises(DataError, match="same label, 'a', in column 'label'"):
        scheme_of(["a", "a"])


def test_no_label_at_all():
    with pytest.raises(DataError, match="No example of the training data has a label"):
        scheme_of([None, ""])


def test_single_labels_as_ids():
    scheme = LabelScheme("single_label", "", ("neg", "pos"))
    assert scheme.encode(column(["pos", "neg", "pos"])) == pa.array([1, 0, 1], pa.int64())
    assert scheme.missing(column(["pos", None, ""])).tolist() == [False, True, True]
    assert scheme.unknown(column(["pos", None, "Neg", "neg"])).tolist() == [False, False, True, False]


def test_missing_numbers():
    scheme = scheme_of([1.0, 2.0, float("nan")])
    assert scheme.missing(column([1.0, float("nan"), None, 2.0])).tolist() == [False, True, True, False]
    assert scheme.encode(column([2, 1])).to_pylist() == [1, 0]


def test_several_labels_as_zeros_and_ones():
    scheme = LabelScheme("multi_label", "", ("a", "b", "c"))
    encoded = scheme.encode(column([["c", "a"], [], ["b", "b"]]))
    assert encoded.type == pa.list_(pa.float32())
    assert encoded.to_pylist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert scheme.unknown(column([["a"], ["a", "z"], []])).tolist() == [False, True, False]
    assert scheme.encode(column([["a"], None, ["b"]]).drop_null()).to_pylist() == [[1, 0, 0], [0, 1, 0]]


def test_numbers_to_predict():
    scheme = scheme_of([0.5, 2])
    assert scheme.encode(column([0.5, 2])) == pa.array([0.5, 2], pa.float32())
    assert not scheme.unknown(column([9.5])).any()
    assert np.isnan(as_scores(column(["x"]))).all()


@pytest.mark.parametrize("bad", ["nan", "inf", "1e999", "1e39", "12,5", "good", "1_0"])
def test_a_regression_needs_finite_numbers(bad):
    given = source([0.5, None, bad], problem="regression")
    with pytest.raises(DataError, match=rf"a\.csv, row 3: the label '{bad}' is not a finite number"):
        check_labels(given, LabelScheme("regression", ""))


def test_several_labels_where_one_is_allowed():
    with pytest.raises(DataError, match=r"a\.csv, row 2: 2 labels, where JOB_DATA__PROBLEM=single_label allows one"):
        check_labels(source([["a"], ["a", "b"]]), LabelScheme("single_label", "", ("a", "b")))
    check_labels(source([["a"], None]), LabelScheme("single_label", "", ("a", "b")))
    check_labels(source([["a"], ["a", "b"]]), LabelScheme("multi_label", "", ("a", "b")))


def test_a_class_by_many_spellings():
    assert [canonical(name, numeric=True) for name in ("1", "1.0", "1e0", "01", "1.5", "1e999")] == [
        "1",
        "1",
        "1",
        "01",
        "1.5",
        "1e999",
    ]
    assert canonical("1.0", numeric=False) == "1.0"


def test_notes_name_twins_and_empty_lists():
    notes = label_notes(source(["Positive", "positive", "neg "]), scheme_of(["Positive", "positive", "neg "]))
    assert notes[0] == "The problem is single_label: labels are 3 distinct texts."
    assert notes[1] == "3 classes: Positive, neg , positive."
    assert notes[2] == "These class names differ only in case or spaces: 'Positive', 'positive'."
    assert "1 training examples have an empty list" in label_notes(source([["a"], []]), scheme_of([["a", "b"], []]))[-1]
    assert label_notes(source([0.5, 1]), scheme_of([0.5, 1])) == [
        "The problem is regression: labels are numbers, not all of them whole (such as 0.5)."
    ]
