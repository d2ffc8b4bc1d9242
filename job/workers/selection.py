"""Which rows can be used, and the limits on how many cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from job.errors import DataError
from job.settings.limits import LimitsSettings
from job.workers.labels import LabelScheme
from job.workers.tables import Source

Rows = npt.NDArray[np.int64]
"""Row numbers of a source, from 0, ascending."""

_DROPPING = frozenset({"max_empty_share", "max_unlabelled_share", "max_unknown_label_share", "max_masked_share"})
_OTHER = {
    "max_truncated_share": "Raise JOB_TRAIN__MAX_SEQ_LENGTH, shorten the texts, or raise JOB_LIMITS__MAX_TRUNCATED_SHARE.",
    "max_cut_target_share": "Raise JOB_TRAIN__MAX_TARGET_LENGTH, shorten the targets, or raise JOB_LIMITS__MAX_CUT_TARGET_SHARE.",
    "max_leaked_share": "Take the texts out of one of the two, or raise JOB_LIMITS__MAX_LEAKED_SHARE.",
}


@dataclass(frozen=True)
class Selection:
    """The rows of a source by what becomes of them; each row is in one of the four."""

    kept: Rows
    empty: Rows
    unlabelled: Rows
    unknown: Rows


def select(source: Source, scheme: LabelScheme) -> Selection:
    """Sort out rows without text, without label, and with a label that names no class.

    An example with two texts counts as empty when either is.
    """
    columns = source.table.to_batches()
    empty = np.concatenate([_empty(batch) for batch in columns])
    unlabelled = np.concatenate([scheme.missing(batch.column("label")) for batch in columns]) & ~empty
    unknown = np.concatenate([scheme.unknown(batch.column("label")) for batch in columns]) & ~empty & ~unlabelled
    kept = ~(empty | unlabelled | unknown)
    return Selection(*(np.flatnonzero(rows) for rows in (kept, empty, unlabelled, unknown)))


def select_filled(source: Source, columns: Sequence[str]) -> Selection:
    """Sort out rows in which one of the columns is missing or holds nothing but white space."""
    empty = np.concatenate(
        [np.logical_or.reduce([_blank(batch.column(name)) for name in columns]) for batch in source.table.to_batches()]
    )
    nothing = np.zeros(0, dtype=np.int64)
    return Selection(np.flatnonzero(~empty), np.flatnonzero(empty), nothing, nothing)


def check_filled(source: Source, selection: Selection, what: str, limits: LimitsSettings) -> None:
    """Hold the rows without ``what`` against the limit.

    Raises:
        DataError: with count, share, limit and three examples; or when no row is left.
    """
    empty = selection.empty
    check_limit(
        Count(source.split, f"no {what}", len(empty), source.table.num_rows, source.identifiers(empty[:3])),
        "max_empty_share",
        limits,
    )
    if len(selection.kept) == 0:
        raise DataError(f"No example of the {source.split} data is left: none has {what}.", "Correct the data.")


def check_selection(source: Source, selection: Selection, scheme: LabelScheme, limits: LimitsSettings) -> None:
    """Hold the rows left out against the limits.

    Raises:
        DataError: with count, share, limit and three examples.
    """
    total = source.table.num_rows
    for rows, what, name in (
        (selection.empty, "no text", "max_empty_share"),
        (selection.unlabelled, "no label", "max_unlabelled_share"),
    ):
        check_limit(Count(source.split, what, len(rows), total, source.identifiers(rows[:3])), name, limits)
    if source.split == "train" and len(selection.unknown):
        raise _outside_the_list(source, selection.unknown, scheme)
    what = f"a label that the training data does not have ({_unknown_names(source, selection.unknown, scheme)})"
    count = Count(source.split, what, len(selection.unknown), total, source.identifiers(selection.unknown[:3]))
    check_limit(count, "max_unknown_label_share", limits)
    if len(selection.kept) == 0:
        raise DataError(f"No example of the {source.split} data is left: none has both text and label.", "Correct the data.")


@dataclass(frozen=True)
class Count:
    """``count`` of ``total`` examples of a split have ``what``; ``examples`` are ids of some."""

    split: str
    what: str
    count: int
    total: int
    examples: Sequence[str]


def check_limit(count: Count, name: str, limits: LimitsSettings) -> None:
    """Hold a count against the limit of this name.

    Raises:
        DataError: when the share is above it.
    """
    limit = getattr(limits, name)
    share = count.count / max(count.total, 1)
    if share <= limit:
        return
    variable = f"JOB_LIMITS__{name.upper()}"
    raise DataError(
        f"{count.count:,} of {count.total:,} {count.split} examples ({share:.2%}) have {count.what}; {variable} allows {limit:.2%}. "
        f"For example: {', '.join(count.examples)}.",
        f"Correct the data, or raise {variable} to leave such examples out, counted." if name in _DROPPING else _OTHER[name],
    )


def _empty(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    empty = _blank(batch.column("text"))
    pair = batch.column("pair")
    return empty if pair.null_count == len(pair) else empty | _blank(pair)


def _blank(texts: pa.Array) -> npt.NDArray[np.bool_]:
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
    return np.array(pc.fill_null(blank, fill_value=True), dtype=bool)


def _unknown_names(source: Source, rows: Rows, scheme: LabelScheme) -> str:
    names: dict[str, None] = {}
    for row in rows[:100]:
        values = source.table["label"][int(row)].values
        names.update(dict.fromkeys(values.filter(scheme.ids(values).is_null()).to_pylist()))
    return ", ".join(f"'{name}'" for name in list(names)[:5])


def _outside_the_list(source: Source, rows: Rows, scheme: LabelScheme) -> DataError:
    return DataError(
        f"{len(rows):,} training examples have a label outside JOB_DATA__LABELS: {_unknown_names(source, rows, scheme)}; the first "
        f"is {source.place(int(rows[0]))}.",
        "Add the label to JOB_DATA__LABELS, or correct the data.",
    )
