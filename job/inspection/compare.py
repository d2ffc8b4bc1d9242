"""``job compare URI``: the runs of a sweep side by side, as text and as a page."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from job import run_dir as run_dirs
from job.errors import COMPLETE, DataError, UnusableError
from job.inspection.places import find_runs
from job.inspection.runs import ending, state
from job.reporting import comparison, comparison_page
from job.reporting.formats import metric as written
from job.reporting.masking import Masker
from job.reporting.sections.headline import metric_name
from job.settings import root
from job.storage import disk, payload
from job.storage.base import MissingObjectError, Store
from job.storage.log import Log, LogEntry
from job.storage.retention import payload_folder

_REPORT = "report/metrics.json"


def show(text: str, pattern: str, page: Path | None) -> tuple[str, int]:
    """Compare the runs at a place.

    Args:
        text: the URI of an output.
        pattern: of the runs' names, with ``*`` and ``?``.
        page: where the HTML page is written; None for none.

    Returns:
        The comparison as text, and the exit code.

    Raises:
        DataError: no run there has such a name.
        SettingsError, DeniedError, UnavailableError: as `find_runs`.
        LocalIOError: the page cannot be written.
    """
    store, names = find_runs(text)
    chosen = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    if not chosen:
        raise DataError(
            f"No run at {store.uri} has a name like {pattern!r}; there are {', '.join(names[:8])}.",
            "Give --runs a pattern that fits.",
        )
    found = comparison.compare([read(store, name) for name in sorted(chosen, key=_in_order)])
    said = comparison.text(found)
    if page is not None:
        with disk.border(str(page), writing=True):
            run_dirs.write_bytes(page, comparison_page.render(found, store.uri).encode())
        said += f"\nThe page is {page.resolve()}."
    return said, COMPLETE


def read(store: Store, name: str) -> comparison.Variant:
    """A run as its log and its published report tell of it; what cannot be read is said in its place."""
    try:
        entries = Log(store, f"{name}/").read()
    except UnusableError as error:
        return comparison.Variant(name, "unusable", note=error.message)
    published = next((entry for entry in reversed(entries) if entry.kind == "published"), None)
    evaluation, note = _evaluation(store, published) if published else ({}, _progress(entries))
    started = next((entry for entry in reversed(entries) if entry.kind == "started"), entries[0])
    given = {**started.fields.get("settings", {}), **started.fields.get("places", {})}
    masker = Masker()
    return comparison.Variant(
        name,
        state(entries),
        {root.variable(*key.split(".")): masker.mask_all(value) for key, value in given.items()},
        _seconds(entries),
        evaluation,
        masker.mask(note),
        f"{store.uri}/{payload_folder(published)}".rstrip("/") if published else "",
    )


def _in_order(name: str) -> tuple[str, int, str]:
    """``reviews-2`` before ``reviews-10``."""
    stem, _, number = name.rpartition("-")
    return (stem, int(number), name) if stem and number.isdecimal() else (name, -1, name)


def _evaluation(store: Store, published: LogEntry) -> tuple[dict[str, Any], str]:
    """The scores in the published folder, held against its manifest; else why there are none."""
    key = payload_folder(published) + _REPORT
    try:
        hashes = {file.path: file.sha256 for file in payload.read_manifest(store, published).files}
        data = store.read_bytes(key)
    except (UnusableError, MissingObjectError) as error:
        return {}, f"its published scores cannot be read: {error.message}"
    if hashlib.sha256(data).hexdigest() != hashes.get(_REPORT):
        return {}, "its published scores are not those that were committed"
    found: dict[str, Any] = json.loads(data)
    return found, ""


def _progress(entries: Sequence[LogEntry]) -> str:
    """How far a run without a model came, and what ended it."""
    parts = []
    commits = [entry for entry in entries if entry.kind == "committed"]
    if commits:
        metric = commits[-1].fields.get("metric") or {}
        value = metric.get("value")
        score = f", validation {metric_name(str(metric['name']))} {written(value)}" if isinstance(value, int | float) else ""
        parts.append(f"last commit at step {commits[-1]['step']}{score}")
    last = entries[-1]
    if last.kind in ("failed", "stopped"):
        parts.append(ending(last))
    return "; ".join(parts)


def _seconds(entries: Sequence[LogEntry]) -> float:
    """Of all attempts, each from its first entry to its last."""
    total = 0.0
    for start in (entry for entry in entries if entry.kind == "started"):
        times = [datetime.fromisoformat(entry.time) for entry in entries if entry.nonce == start.nonce]
        total += (max(times) - min(times)).total_seconds()
    return total
