"""Plain values become rows of one schema, or an error with a place."""

import json
from datetime import date
from decimal import Decimal

import pytest

from job.errors import DataError
from job.workers.readers.base import ID_ROLE, Chunk, Role
from job.workers.rows import SCHEMA, RowMaker, schema_of
from tests.support.inputs import data_settings


def make(values: dict, **changes):
    maker = RowMaker("train", data_settings(**changes))
    return maker.rows(Chunk(values), "a.jsonl", 11, 40), maker


def labels(values: list, **changes):
    batch, maker = make({"text": ["x"] * len(values), "label": values}, **changes)
    return batch.column("label").to_pylist(), maker.kinds


def refusal(values: dict, **changes) -> str:
    with pytest.raises(DataError) as caught:
        make(values, **changes)
    return caught.value.message


def test_rows_have_the_schema_and_ids_count_through_the_source():
    batch, _ = make({"text": ["a", None], "label": ["x", "y"]})
    assert batch.schema == SCHEMA
    assert batch.to_pylist() == [
        {"id": "train-41", "text": "a", "pair": None, "label": ["x"]},
        {"id": "train-42", "text": None, "pair": None, "label": ["y"]},
    ]


def test_pairs_and_ids_are_taken_over():
    batch, _ = make({"text": ["a"], "pair": ["b"], "label": [1], "id": [7]}, text_pair_column="p", id_column="i")
    assert batch.to_pylist() == [{"id": "7", "text": "a", "pair": "b", "label": ["1"]}]


@pytest.mark.parametrize(
    ("value", "text", "kind"),
    [
        ("Positive ", "Positive ", "text"),
        (3, "3", "whole"),
        (2.5, "2.5", "real"),
        (1.0, "1.0", "real"),
        (float("nan"), "nan", "real"),
        (Decimal("1.50"), "1.50", "real"),
        (True, "true", "flag"),
    ],
)
def test_labels_become_texts_and_their_kind_is_kept(value, text, kind):
    assert labels([value]) == ([[text]], {kind})


@pytest.mark.parametrize("value", [None, "", "  "])
def test_missing_labels(value):
    assert labels([value]) == ([None], set())


def test_lists_and_delimited_texts_are_several_labels():
    assert labels([["a", "b"], []]) == ([["a", "b"], []], {"text", "list"})
    assert labels(["a; b;", ""], label_delimiter=";") == ([["a", "b"], []], {"list"})


@pytest.mark.parametrize("value", [5, 2.0, True, ["a"], {}, b"x", date(2020, 1, 1)])
def test_a_text_that_is_none_is_placed(value):
    message = refusal({"text": ["fine", value], "label": ["x", "y"]}, text_column="body")
    assert message.startswith("a.jsonl, row 12, column 'body': ")
    assert message.endswith(" where text was expected.")


@pytest.mark.parametrize("value", [{}, b"x", date(2020, 1, 1), [None], [["a"]]])
def test_a_label_that_is_none_is_placed(value):
    assert "row 11, column 'label': " in refusal({"text": ["fine"], "label": [value]})


@pytest.mark.parametrize("value", [None, 2.5, True])
def test_an_id_that_is_none_is_placed(value):
    assert "row 11, column 'key': " in refusal({"text": ["a"], "label": ["x"], "id": [value]}, id_column="key")


def test_half_a_surrogate_pair_is_placed():
    assert "row 12, column 'text': half of a surrogate pair" in refusal({"text": ["fine", "\ud83d"], "label": ["x", "y"]})


def test_lists_of_words_and_json_are_kept_as_such():
    roles = {"id": ID_ROLE, "words": Role("text_column", "words"), "chat": Role("messages_column", "json")}
    maker = RowMaker("train", data_settings(), roles)
    given = {"words": [["a", "b"], None], "chat": [[{"role": "user"}], '[{"role": "user"}]']}
    batch = maker.rows(Chunk(given), "a.jsonl", 1, 0)
    assert batch.schema == schema_of(roles)
    assert batch.column("words").to_pylist() == [["a", "b"], None]
    assert batch.column("chat").to_pylist() == ['[{"role": "user"}]'] * 2
    texts = maker.rows(Chunk({"words": [[]] * 4, "chat": ["plain", "[no json", 3, None]}), "a.jsonl", 1, 0)
    assert texts.column("chat").to_pylist() == ['"plain"', '"[no json"', "3", None]
    with pytest.raises(DataError, match="a number where a list of texts was expected") as caught:
        maker.rows(Chunk({"words": [3], "chat": [None]}), "a.jsonl", 5, 0)
    assert "a.jsonl, row 5, column 'text'" in caught.value.message
    deep = "[" * 100_000 + "]" * 100_000
    (kept,) = maker.rows(Chunk({"words": [[]], "chat": [deep]}), "a.jsonl", 5, 0).column("chat").to_pylist()
    assert json.loads(kept) == deep  # a text like any other
    with pytest.raises(DataError, match="type date where a text, a list or an object was expected"):
        maker.rows(Chunk({"words": [[]], "chat": [date(2026, 1, 1)]}), "a.jsonl", 5, 0)
