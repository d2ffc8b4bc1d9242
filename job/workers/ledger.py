"""The token ledger: what came in, what was dropped or cut, what is left, for a person to read before and after training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from job.workers.labels import LabelScheme
from job.workers.overlap import Overlap
from job.workers.splits import Split
from job.workers.tokenization import TokenizedSplit

HISTOGRAM_BINS = 40
_QUANTILES = {"min": 0.0, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True)
class Described:
    """What a task adds to the ledger: entries of the whole, entries and sentences by split, samples to read.

    A sample is a piece of text for people, ``{"title", "text"}``, shown as it is.
    """

    head: dict[str, Any]
    splits: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    notes: Mapping[str, list[str]] = field(default_factory=dict)
    samples: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class PreparedSplits:
    """Everything `make_ledger` tells of, by split name, in one order."""

    splits: Mapping[str, Split]
    tokenized: Mapping[str, TokenizedSplit]
    overlap: Overlap
    max_seq_length: int


def make_ledger(prepared: PreparedSplits, described: Described, notes: list[str]) -> dict[str, Any]:
    """The ledger as plain JSON values; lengths are in tokens before cutting, special tokens included."""
    return {
        **described.head,
        "max_seq_length": prepared.max_seq_length,
        "splits": {
            name: _split_entry(split, prepared.tokenized[name]) | described.splits.get(name, {})
            for name, split in prepared.splits.items()
        },
        "duplicates": prepared.overlap.duplicates,
        "leaked_share": prepared.overlap.leaked_share,
        "notes": [*notes, *_more_notes(prepared, described)],
        **({"samples": described.samples} if described.samples else {}),
    }


def describe_labels(scheme: LabelScheme, tokenized: Mapping[str, TokenizedSplit]) -> Described:
    """What labels add: the problem and its classes, the count of each class or the range of the number, and absent classes."""
    head = {"problem": scheme.problem, "problem_reason": scheme.reason, "labels": list(scheme.names)}
    notes = {}
    for name, split in tokenized.items():
        absent = [label for label, count in zip(scheme.names, count_labels(split, scheme), strict=False) if count == 0]
        notes[name] = [f"No {name} example has the label {', '.join(map(repr, absent[:10]))}."] if absent else []
    return Described(head, {name: _labels(split, scheme) for name, split in tokenized.items()}, notes)


def count_labels(tokenized: TokenizedSplit, scheme: LabelScheme) -> list[int]:
    """Examples of each class, in the order of the ids; empty for regression."""
    labels = tokenized.column("labels")
    if scheme.problem == "multi_label":
        return [int(count) for count in labels.sum(axis=0, dtype=np.int64)]
    if scheme.problem == "single_label":
        return [int(count) for count in np.bincount(labels, minlength=len(scheme.names))]
    return []


def _split_entry(split: Split, tokenized: TokenizedSplit) -> dict[str, Any]:
    tokens_in, tokens_kept = tokenized.column("tokens_in"), tokenized.column("tokens_kept")
    dropped = split.selection
    counts = {
        "origin": split.origin,
        "examples_in": split.examples_in,
        "empty_dropped": (len(dropped.empty) if dropped else 0) + len(tokenized.without_tokens),
        "unlabelled_dropped": len(dropped.unlabelled) if dropped else 0,
        "unknown_label_dropped": len(dropped.unknown) if dropped else 0,
        "set_aside": split.set_aside,
        "subset_left_out": split.subset_left_out,
        "examples_kept": tokenized.num_examples,
        "tokens_in": int(tokens_in.sum(dtype=np.int64)),
        "tokens_kept": int(tokens_kept.sum(dtype=np.int64)),
        "truncated_examples": int((tokens_in > tokens_kept).sum()),
        "truncated_tokens": int((tokens_in - tokens_kept).sum(dtype=np.int64)),
    }
    if tokenized.num_records != tokenized.num_examples:
        counts["records"] = tokenized.num_records
    if tokenized.without_targets:
        counts["masked_dropped"] = len(tokenized.without_targets)
    return counts | dict(tokenized.counts) | _lengths(tokens_in) | {"longest": tokenized.longest}


def _lengths(tokens: npt.NDArray[Any]) -> dict[str, Any]:
    width = max(1, -(-(int(tokens.max()) + 1) // HISTOGRAM_BINS))
    edges = np.arange(0, int(tokens.max()) + 1 + width, width)
    counts, _ = np.histogram(tokens, edges)
    quantiles = np.quantile(tokens, list(_QUANTILES.values()), method="inverted_cdf")
    return {
        "length_quantiles": {name: int(value) for name, value in zip(_QUANTILES, quantiles, strict=True)},
        "length_histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def _labels(tokenized: TokenizedSplit, scheme: LabelScheme) -> dict[str, Any]:
    if scheme.problem == "regression":
        labels = tokenized.column("labels")
        return {"label_range": [float(labels.min()), float(labels.max())]}
    return {"label_counts": dict(zip(scheme.names, count_labels(tokenized, scheme), strict=True))}


def _more_notes(prepared: PreparedSplits, described: Described) -> list[str]:
    notes = [f"{name}: {prepared.splits[name].origin}." for name in prepared.splits]
    for name, tokenized in prepared.tokenized.items():
        if tokenized.without_tokens:
            notes.append(
                f"{len(tokenized.without_tokens):,} {name} texts were dropped as empty: the tokenizer finds nothing in them."
            )
        notes += described.notes.get(name, [])
    if "test" not in prepared.splits:
        notes.append("There is no test data: the final score is that of the validation data, which also chose the best step.")
    if prepared.overlap.contradictions:
        notes.append(f"{prepared.overlap.contradictions:,} training texts occur more than once, with different labels.")
    return notes
