"""What a label is, recognised from the training data, and labels as numbers.

Shapes: N rows, C classes.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from job.errors import DataError
from job.settings.data import DataSettings
from job.workers.readers.base import shorten
from job.workers.tables import Source

Problem = Literal["single_label", "multi_label", "regression"]
Scores = npt.NDArray[np.float32]

MANY_CLASSES = 50
MANY_SHARE = 0.2
"""More distinct values than both (a number, a share of all rows) are not taken for class names without being told."""
NOT_A_NUMBER = "nan"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = frozenset({"nan", "inf", "-inf", "+inf", "infinity", "-infinity"})
_PROBLEM_REMEDY = "Set JOB_DATA__PROBLEM to single_label, multi_label or regression, or JOB_DATA__LABEL_COLUMN to another column."


@dataclass(frozen=True)
class LabelScheme:
    """How labels become numbers: ``names`` in the order of their ids, empty for regression.

    With ``numeric`` names, 1.0 and 1 are the same class, and NaN is a missing label.
    """

    problem: Problem
    reason: str
    names: tuple[str, ...] = ()
    numeric: bool = False

    def ids(self, values: pa.Array) -> pa.Array:
        """Class ids (int64) of label texts; null for a text that names no class."""
        index = {canonical(name, numeric=self.numeric): at for at, name in enumerate(self.names)}
        encoded = values.dictionary_encode()
        ids = [index.get(canonical(value, numeric=self.numeric)) for value in encoded.dictionary.to_pylist()]
        return pa.array(ids, pa.int64()).take(encoded.indices)

    def missing(self, labels: pa.ListArray) -> npt.NDArray[np.bool_]:
        """Which rows [N] have no label."""
        missing = np.array(labels.is_null())
        if self.problem != "single_label" or not self.numeric:
            return missing
        not_numbers = pc.equal(labels.flatten(), NOT_A_NUMBER).to_numpy(zero_copy_only=False)
        missing[labels.value_parent_indices().to_numpy()[not_numbers]] = True
        return missing

    def unknown(self, labels: pa.ListArray) -> npt.NDArray[np.bool_]:
        """Which rows [N] have a label that names no class."""
        unknown = np.zeros(len(labels), dtype=bool)
        if self.problem != "regression":
            nameless = self.ids(labels.flatten()).is_null().to_numpy(zero_copy_only=False)
            unknown[labels.value_parent_indices().to_numpy()[nameless]] = True
        return unknown

    def encode(self, labels: pa.ListArray) -> pa.Array:
        """Labels of rows that have one: int64 [N], a list of float32 0 or 1 [N, C], or float32 [N]."""
        if self.problem == "single_label":
            return self.ids(labels.flatten())
        if self.problem == "regression":
            return pa.array(as_scores(labels), pa.float32())
        held = np.zeros((len(labels), len(self.names)), dtype=np.float32)
        held[labels.value_parent_indices().to_numpy(), self.ids(labels.flatten()).to_numpy()] = 1.0
        offsets = np.arange(len(labels) + 1, dtype=np.int32) * len(self.names)
        return pa.ListArray.from_arrays(offsets, held.ravel())


def recognise(source: Source, data: DataSettings) -> LabelScheme:
    """The problem and the classes, from settings and training data.

    Raises:
        DataError: when the labels cannot be what the settings say, when it would have to be guessed what they are, or when
            there is only one class.
    """
    counts = _distinct(source)
    problem, reason = _problem(source, counts, data)
    if problem == "regression":
        return LabelScheme(problem, reason)
    numeric = not source.label_names and _all_numbers(value for value in counts if value != NOT_A_NUMBER)
    names = data.labels or source.label_names or tuple(_sorted_names(counts, numeric=numeric))
    if len(names) < 2 and problem == "single_label":
        raise _single_class(names, data)
    return LabelScheme(problem, reason, names, numeric)


def check_labels(source: Source, scheme: LabelScheme) -> None:
    """Refuse labels that the problem cannot have.

    Raises:
        DataError: naming the first row with several labels for a single-label problem, or without a finite number for a
            regression.
    """
    lengths = pc.list_value_length(source.table["label"]).to_numpy()
    if scheme.problem != "multi_label" and (wrong := np.flatnonzero(~np.isnan(lengths.astype(float)) & (lengths != 1))).size:
        raise DataError(
            f"{source.place(wrong[0])}: {int(lengths[wrong[0]])} labels, where JOB_DATA__PROBLEM={scheme.problem} allows one.",
            "Set JOB_DATA__PROBLEM=multi_label, or correct the data.",
        )
    if scheme.problem == "regression":
        _check_numbers(source)


def as_scores(labels: pa.ListArray) -> Scores:
    """Numbers [N] of rows with one label each; what is no number becomes NaN."""
    with np.errstate(over="ignore"):
        return np.array([_number(value) for value in labels.flatten().to_pylist()], dtype=np.float64).astype(np.float32)


def canonical(name: str, *, numeric: bool) -> str:
    """The text under which a class is looked up: 1.0 is 1 where all classes are numbers."""
    if not numeric or not _NUMBER.fullmatch(name) or not any(sign in name for sign in ".eE"):
        return name
    value = float(name)
    return str(int(value)) if math.isfinite(value) and value.is_integer() else name


def label_notes(source: Source, scheme: LabelScheme) -> list[str]:
    """Sentences about the labels: what was recognised and why, and names that look like the same one."""
    notes = [f"The problem is {scheme.problem}: {scheme.reason}."]
    if scheme.problem == "regression":
        return notes
    notes.append(f"{len(scheme.names)} classes: {', '.join(shorten(name) for name in scheme.names[:MANY_CLASSES])}.")
    alike: dict[str, list[str]] = {}
    for name in scheme.names:
        alike.setdefault(name.strip().casefold(), []).append(name)
    twins = [names for names in alike.values() if len(names) > 1]
    notes += [f"These class names differ only in case or spaces: {', '.join(map(repr, names))}." for names in twins]
    empty = int(pc.sum(pc.equal(pc.list_value_length(source.table["label"]), 0)).as_py() or 0)
    if empty:
        notes.append(f"{empty:,} training examples have an empty list of labels, which counts as: none of the classes.")
    return notes


def _distinct(source: Source) -> Counter[str]:
    counts: Counter[str] = Counter()
    for chunk in source.table["label"].chunks:
        for entry in chunk.flatten().value_counts():
            counts[entry["values"].as_py()] += entry["counts"].as_py()
    if not counts:
        raise DataError(
            f"No example of the training data has a label ({source.place(0)} and all that follow).",
            "Set JOB_DATA__LABEL_COLUMN to the column that holds the labels.",
        )
    return counts


def _problem(source: Source, counts: Counter[str], data: DataSettings) -> tuple[Problem, str]:
    if data.problem != "auto":
        return data.problem, "JOB_DATA__PROBLEM says so"
    if "list" in source.kinds:
        return "multi_label", "labels are lists" if data.label_delimiter is None else "JOB_DATA__LABEL_DELIMITER divides them"
    if data.labels:
        return "single_label", "JOB_DATA__LABELS names the classes"
    if source.label_names:
        return "single_label", "the data itself names the classes"
    return _problem_of_values(counts, "truth values" if source.kinds == {"flag"} else "texts")


def _problem_of_values(counts: Counter[str], what: str) -> tuple[Problem, str]:
    values = [value for value in counts if value != NOT_A_NUMBER]
    if values and _all_numbers(values):
        fraction = next((value for value in values if not float(value).is_integer()), None)
        if fraction is not None:
            return "regression", f"labels are numbers, not all of them whole (such as {fraction})"
        what = "whole numbers"
    _refuse_many(counts, what)
    return "single_label", f"labels are {len(values)} distinct {what}"


def _refuse_many(counts: Counter[str], what: str) -> None:
    if len(counts) > MANY_CLASSES and len(counts) > MANY_SHARE * counts.total():
        shown = ", ".join(f"'{shorten(value)}'" for value in list(counts)[:3])
        raise DataError(
            f"The label column holds {len(counts):,} distinct {what} in {counts.total():,} examples (such as {shown}): too many to "
            "take for class names without being told.",
            _PROBLEM_REMEDY,
        )


def _all_numbers(values: Iterable[str]) -> bool:
    return all(_NUMBER.fullmatch(value) or value.lower() in _NOT_FINITE for value in values)


def _sorted_names(counts: Counter[str], *, numeric: bool) -> list[str]:
    if not numeric:
        return sorted(counts)
    return sorted(
        {canonical(value, numeric=True) for value in counts if value != NOT_A_NUMBER}, key=lambda name: (float(name), name)
    )


def _single_class(names: tuple[str, ...], data: DataSettings) -> DataError:
    return DataError(
        f"All examples of the training data have the same label, '{shorten(names[0])}', in column '{data.label_column}': there is "
        "nothing to learn.",
        "Set JOB_DATA__LABEL_COLUMN to the column that holds the labels, or add examples of other classes.",
    )


def _number(value: str) -> float:
    return float(value) if _NUMBER.fullmatch(value) else math.nan


def _check_numbers(source: Source) -> None:
    row = 0
    for chunk in source.table["label"].chunks:
        held = chunk.is_valid().to_numpy(zero_copy_only=False)
        bad = np.flatnonzero(held)[~np.isfinite(as_scores(chunk))]
        if bad.size:
            value = chunk[int(bad[0])].as_py()[0]
            raise DataError(
                f"{source.place(row + int(bad[0]))}: the label '{shorten(value)}' is not a finite number, which a regression needs.",
                "Correct the data, or set JOB_DATA__PROBLEM or JOB_DATA__LABEL_COLUMN.",
            )
        row += len(chunk)
