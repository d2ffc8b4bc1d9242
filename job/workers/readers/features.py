"""Columns that come typed, from Parquet and from the Hub: class numbers become class names here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from datasets import ClassLabel, Features, LargeList, List

from job.errors import DataError
from job.workers.readers.base import Chunk

_REMEDY = "Write the data anew with features that fit it, or set JOB_DATA__LABEL_COLUMN to another column."
UNLABELLED = -1
"""The number by which a Hub data set says that a class label is not given."""


def features_of_schema(schema: pa.Schema) -> Mapping[str, Any]:
    """The features that the datasets library wrote into a schema; none for a file of another origin."""
    if b"huggingface" not in (schema.metadata or {}):
        return {}
    return dict(Features.from_arrow_schema(schema))


def chunk_of(table: pa.Table | pa.RecordBatch, columns: Mapping[str, str], features: Mapping[str, Any]) -> Chunk:
    """Rows of Arrow as a chunk.

    Args:
        table: rows, few enough to stand in memory as Python objects.
        columns: column by role.
        features: datasets' features by column, where there are any.
    """
    values = {role: table.column(column).to_pylist() for role, column in columns.items()}
    names = _class_names(features.get(columns["label"])) if "label" in columns else ()
    if names:
        values["label"] = [_named(label, names) for label in values["label"]]
    return Chunk(values, names)


def _class_names(feature: Any) -> tuple[str, ...]:
    if isinstance(feature, (List, LargeList)):
        feature = feature.feature
    return tuple(feature.names) if isinstance(feature, ClassLabel) and feature.names else ()


def _named(label: Any, names: tuple[str, ...]) -> Any:
    if isinstance(label, list):
        return [_named(one, names) for one in label]
    if label is None or label == UNLABELLED:
        return None
    if not 0 <= label < len(names):
        raise DataError(
            f"A label has the class number {label}, and the data's own features name classes 0 to {len(names) - 1}.", _REMEDY
        )
    return names[label]
