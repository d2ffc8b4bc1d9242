"""Which usable rows make the training, validation and test examples.

Membership is drawn with ``JOB_DATA__SPLIT_SEED``; the order of the examples stays that of the files, so that data is read once
from front to back.  The training loop shuffles anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from job.errors import DataError
from job.settings.data import DataSettings
from job.workers.labels import LabelScheme
from job.workers.selection import Rows, Selection
from job.workers.tables import Source

SPLITS = ("train", "eval", "test")
Strata = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Examples of one split: rows of a source, and what became of the others that were given for it.

    ``examples_in`` = dropped (empty, unlabelled, unknown label) + ``set_aside`` (for other splits) + ``subset_left_out`` + rows.
    """

    name: str
    source: Source
    rows: Rows
    origin: str
    examples_in: int
    set_aside: int = 0
    subset_left_out: int = 0
    selection: Selection | None = None
    """What was dropped; None for a split taken from the training data, where dropping came before."""


def make_splits(
    sources: Mapping[str, Source], selections: Mapping[str, Selection], strata: Strata | None, data: DataSettings
) -> dict[str, Split]:
    """The splits, in the order of `SPLITS`; test only where there is test data or a share for it.

    Args:
        sources: by split.
        selections: the usable rows of each source.
        strata: stratum of each row of the training source; None where examples are drawn at random.
        data: shares, seed and sizes.

    Raises:
        DataError: when the training data is too small to set examples aside.
    """
    pool, aside = selections["train"].kept, dict[str, Rows]()
    num_usable = len(pool)
    for name, fraction in (("test", data.test_fraction), ("eval", data.eval_fraction)):
        if name not in sources and fraction > 0:
            size = max(1, round(num_usable * fraction))
            aside[name] = _draw(pool, strata, size, _generator(data, name))
            pool = np.setdiff1d(pool, aside[name], assume_unique=True)
    if len(pool) == 0:
        raise DataError(
            f"The training data has {num_usable} usable examples: too few to set any aside for validation.",
            "Give more data, or JOB_DATA__EVAL_URI.",
        )
    splits = {"train": _given(sources["train"], selections["train"], pool)}
    splits |= {name: _taken(name, sources["train"], rows, data, stratified=strata is not None) for name, rows in aside.items()}
    splits |= {name: _given(sources[name], selections[name], selections[name].kept) for name in sources if name != "train"}
    return {name: _subset(splits[name], data) for name in SPLITS if name in splits}


def draw_stratified(strata: Strata, size: int, generator: np.random.Generator) -> Rows:
    """Positions of ``size`` of N examples, each stratum as nearly in proportion as whole numbers allow.

    Args:
        strata: stratum of each example [N].
        size: how many to draw, below N.
        generator: decides which.

    A stratum of one example is not drawn from unless nothing else is left, because the rest is there to learn from.
    """
    classes, counts = np.unique(strata, return_counts=True)
    exact = counts * size / len(strata)
    quota = np.floor(exact).astype(np.int64)
    # What rounding left over goes to the largest remainders; ties by the order of the classes.
    by_remainder = np.argsort(-(exact - np.floor(exact)), kind="stable")
    for spare in (1, 0):
        while quota.sum() < size and np.any(counts - quota > spare):
            for at in by_remainder:
                if quota.sum() < size and counts[at] - quota[at] > spare:
                    quota[at] += 1
    drawn = [generator.permutation(np.flatnonzero(strata == name))[:number] for name, number in zip(classes, quota, strict=True)]
    return np.sort(np.concatenate(drawn))


def label_strata(source: Source, scheme: LabelScheme) -> Strata | None:
    """Class of each row of the source, -1 where there is none; None where stratifying has no meaning."""
    if scheme.problem != "single_label":
        return None
    strata = np.full(source.table.num_rows, -1, dtype=np.int64)
    row = 0
    for labels in source.table["label"].chunks:
        held = np.flatnonzero(labels.is_valid().to_numpy(zero_copy_only=False))
        strata[row + held] = scheme.ids(labels.flatten()).fill_null(-1).to_numpy()
        row += len(labels)
    return strata


def _draw(pool: Rows, strata: Strata | None, size: int, generator: np.random.Generator) -> Rows:
    size = min(size, len(pool))
    if strata is None or size == len(pool):
        return np.sort(generator.permutation(pool)[:size])
    return pool[draw_stratified(strata[pool], size, generator)]


def _given(source: Source, selection: Selection, rows: Rows) -> Split:
    origin = f"JOB_DATA__{source.split.upper()}_URI"
    set_aside = len(selection.kept) - len(rows)
    if set_aside:
        origin += f", less {set_aside:,} examples set aside"
    return Split(source.split, source, rows, origin, source.table.num_rows, set_aside, selection=selection)


def _taken(name: str, train: Source, rows: Rows, data: DataSettings, *, stratified: bool) -> Split:
    fraction = data.eval_fraction if name == "eval" else data.test_fraction
    how = "stratified by label" if stratified else "at random"
    origin = f"{fraction:.4g} of the training data, drawn {how} with seed {data.split_seed}"
    return Split(name, train, rows, origin, len(rows))


def _subset(split: Split, data: DataSettings) -> Split:
    most = {"train": data.max_train_examples, "eval": data.max_eval_examples, "test": data.max_test_examples}[split.name]
    if most is None or most >= len(split.rows):
        return split
    rows = np.sort(_generator(data, split.name, subset=True).permutation(split.rows)[:most])
    origin = f"{split.origin}, {most:,} of {len(split.rows):,} by seeded shuffle"
    left_out = len(split.rows) - most
    return Split(split.name, split.source, rows, origin, split.examples_in, split.set_aside, left_out, split.selection)


def _generator(data: DataSettings, name: str, *, subset: bool = False) -> np.random.Generator:
    """A stream of its own for every draw, so that one setting does not change what another draws."""
    return np.random.default_rng([data.split_seed, SPLITS.index(name), int(subset)])
