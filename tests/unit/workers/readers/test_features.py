"""Class numbers become class names."""

import pyarrow as pa
import pytest
from datasets import ClassLabel, List, Value

from job.errors import DataError
from job.workers.readers.features import chunk_of, features_of_schema

COLUMNS = {"text": "t", "label": "y"}


def named(labels: list, feature) -> tuple[list, tuple[str, ...]]:
    chunk = chunk_of(pa.table({"t": ["x"] * len(labels), "y": labels}), COLUMNS, {"y": feature})
    return chunk.values["label"], chunk.label_names


def test_class_numbers_become_names_and_minus_one_is_missing():
    assert named([1, -1, None, 0], ClassLabel(names=["no", "yes"])) == (["yes", None, None, "no"], ("no", "yes"))


def test_lists_of_classes_become_lists_of_names():
    assert named([[0, 1], []], List(ClassLabel(names=["a", "b"]))) == ([["a", "b"], []], ("a", "b"))


def test_plain_numbers_stay_and_minus_one_is_one_of_them():
    assert named([1, -1], Value("int64")) == ([1, -1], ())


def test_a_number_without_a_class_is_refused():
    with pytest.raises(DataError, match="class number 2, and the data's own features name classes 0 to 1"):
        named([2], ClassLabel(names=["a", "b"]))


def test_a_schema_of_another_origin_has_no_features():
    assert features_of_schema(pa.schema([("t", pa.string())])) == {}
