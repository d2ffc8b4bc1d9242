"""What the data was: the token ledger, and how long the examples are."""

from __future__ import annotations

from typing import Any

from job.reporting import formats
from job.reporting.bundle import ReportBundle
from job.reporting.charts import Words
from job.reporting.plots import lengths
from job.reporting.sections.table import Table
from job.reporting.sections.training import Figure

SPLITS = {"train": "Training", "eval": "Validation", "test": "Test"}
COUNTS = {
    "examples_in": "Examples in",
    "empty_dropped": "Dropped: empty text",
    "unlabelled_dropped": "Dropped: no label",
    "unknown_label_dropped": "Dropped: unknown label",
    "set_aside": "Set aside for another split",
    "subset_left_out": "Left out by the subset",
    "masked_dropped": "Dropped: nothing to train on",
    "examples_kept": "Examples kept",
    "records": "Records, after packing",
    "words": "Words",
    "words_cut": "Words the model does not see",
    "input_tokens": "Input tokens kept",
    "input_tokens_cut": "Input tokens cut off",
    "target_tokens_cut": "Target tokens cut off",
    "targets_cut": "Targets that lost their end",
    "tokens_in": "Tokens in",
    "truncated_tokens": "Tokens cut off",
    "tokens_kept": "Tokens kept",
    "truncated_examples": "Examples cut",
    "trained_tokens": "Tokens trained on",
}
SHARES = {
    "truncated_examples": "examples_kept",
    "truncated_tokens": "tokens_in",
    "trained_tokens": "tokens_kept",
    "words_cut": "words",
    "targets_cut": "examples_kept",
}
ALWAYS = ("examples_in", "examples_kept", "tokens_in", "tokens_kept", "truncated_examples", "truncated_tokens")
"""Rows that are shown even where they are 0 everywhere: that nothing was cut is worth saying."""
QUANTILES = {"min": "Shortest", "p10": "10 %", "p50": "Median", "p90": "90 %", "p99": "99 %", "max": "Longest"}
PAIRS = {
    "within_train": "within the training data",
    "eval_in_train": "validation texts that also stand in the training data",
    "test_in_train": "test texts that also stand in the training data",
    "test_in_eval": "test texts that also stand in the validation data",
}
MAX_LABELS = 30


def data(bundle: ReportBundle) -> dict[str, Any]:
    """Ledger tables, length histograms, duplicates, notes and the longest examples."""
    splits = {split: entry for split, entry in bundle.ledger.get("splits", {}).items() if entry}
    return {
        "ledger": ledger(splits),
        "quantiles": quantiles(splits),
        "labels": labels(splits),
        "figures": [figure for figure in (_lengths(split, entry, bundle) for split, entry in splits.items()) if figure],
        "duplicates": [
            f"{formats.count(number)} {PAIRS.get(pair, pair)}"
            for pair, number in bundle.ledger.get("duplicates", {}).items()
            if number
        ],
        "notes": [str(note) for note in bundle.ledger.get("notes", [])],
        "samples": list(bundle.ledger.get("samples", [])),
        "longest": [
            (SPLITS.get(split, split), example) for split, entry in splits.items() for example in entry.get("longest", [])[:5]
        ],
    }


def _heads(splits: dict[str, Any]) -> list[str]:
    return [SPLITS.get(split, split) for split in splits]


def ledger(splits: dict[str, Any]) -> Table:
    """What came in, what was dropped or cut, what is left."""
    keys = [key for key in COUNTS if key in ALWAYS or any(entry.get(key) for entry in splits.values())]
    rows = [(COUNTS[key], *(_count(entry, key) for entry in splits.values())) for key in keys] if splits else []
    return Table("Token ledger", ["", *_heads(splits)], rows)


def _count(entry: dict[str, Any], key: str) -> str:
    number, whole = entry.get(key), entry.get(SHARES.get(key, ""), 0)
    return f"{formats.count(number)} ({formats.share(number, whole)})" if number and whole else formats.count(number)


def quantiles(splits: dict[str, Any]) -> Table:
    """Lengths in tokens before anything is cut."""
    keys = [key for key in QUANTILES if any(key in entry.get("length_quantiles", {}) for entry in splits.values())]
    rows = [
        (QUANTILES[key], *(formats.count(entry.get("length_quantiles", {}).get(key)) for entry in splits.values())) for key in keys
    ]
    return Table("Length in tokens", ["", *_heads(splits)], rows)


def labels(splits: dict[str, Any]) -> Table:
    """Examples of each label, or the range of the number to predict."""
    names = list(dict.fromkeys(name for entry in splits.values() for name in entry.get("label_counts", {})))
    rows = [(name, *(_labelled(entry, name) for entry in splits.values())) for name in names[:MAX_LABELS]]
    if len(names) > MAX_LABELS:
        rows.append((f"and {len(names) - MAX_LABELS} more", *("" for _ in splits)))
    ranges = [entry.get("label_range") for entry in splits.values()]
    if any(ranges):
        rows.append(("Range", *(" to ".join(map(formats.metric, found)) if found else formats.MISSING for found in ranges)))
    return Table("Labels", ["Label", *_heads(splits)], rows)


def _labelled(entry: dict[str, Any], name: str) -> str:
    number = entry.get("label_counts", {}).get(name, 0)
    return f"{formats.count(number)} ({formats.share(number, entry.get('examples_kept'))})" if number else "0"


def _lengths(split: str, entry: dict[str, Any], bundle: ReportBundle) -> Figure | None:
    histogram, found = entry.get("length_histogram", {}), entry.get("length_quantiles", {})
    cut = bundle.ledger.get("max_seq_length") if entry.get("truncated_examples") else None
    title = f"Lengths, {SPLITS.get(split, split).lower()} data"
    middle = f"Median {formats.count(found.get('p50'))}, longest {formats.count(found.get('max'))} tokens."
    chart = lengths(Words(title, middle), histogram.get("edges", []), histogram.get("counts", []), cut)
    return Figure(title, chart, middle) if chart else None
