"""How the run came about: time of the stages, attempts, inputs, versions, settings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from job.reporting import formats
from job.reporting.bundle import ReportBundle
from job.reporting.sections.memory import memory
from job.reporting.sections.table import Table
from job.settings.root import variable

ENDS = ("complete", "failed", "stopped")


def provenance(bundle: ReportBundle) -> dict[str, Any]:
    """Everything that one looks up rather than reads."""
    longest = max(bundle.timings.values(), default=0.0) or 1.0
    return {
        "timings": [
            (stage, formats.duration(seconds), round(100 * seconds / longest, 1)) for stage, seconds in bundle.timings.items()
        ],
        "attempts": attempts(bundle),
        "memory": memory(bundle),
        "memory_words": bundle.train.get("engine", {}).get("choice", {}).get("sentence", ""),
        "sources": sources(bundle),
        "versions": Table("Versions", ("Package", "Version"), list(bundle.versions.items()), numeric=False),
        "settings": settings(bundle.settings),
    }


def attempts(bundle: ReportBundle) -> Table:
    """Every start of the run and how it ended."""
    last = bundle.attempts[-1] if bundle.attempts else None
    rows = [
        (
            formats.count(attempt.get("number")),
            _time(attempt.get("started")),
            _end(attempt, attempt is last),
            _steps(attempt.get("steps")),
        )
        for attempt in bundle.attempts
    ]
    return Table("Attempts", ("Attempt", "Started", "Ended", "Last commit"), rows, numeric=False)


def _end(attempt: dict[str, Any], last: bool) -> str:
    """``stopped: asked to stop``; without an entry it was killed, or is the attempt that writes this."""
    found = next((end for end in ENDS if attempt.get(end)), None)
    if found is None:
        return "this attempt" if last else "not recorded"
    detail = attempt[found]
    return f"{found}: {_time(detail)}" if isinstance(detail, str) else found


def _time(text: Any) -> str:
    """A time to the second; anything else as it is."""
    if not isinstance(text, str):
        return formats.MISSING
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


def _steps(steps: Any) -> str:
    return " to ".join(map(formats.count, steps)) if isinstance(steps, list | tuple) else formats.count(steps)


def sources(bundle: ReportBundle) -> Table:
    """The inputs, to the byte."""
    rows = [
        (
            role,
            str(source.get("uri", "")),
            str(source.get("revision", "")) or formats.MISSING,
            formats.count(source.get("num_files")),
            formats.size(source.get("size_bytes")),
            str(source.get("sha256", "")),
        )
        for role, source in bundle.sources.items()
    ]
    return Table("Inputs", ("Input", "From", "Revision", "Files", "Size", "sha256"), rows, numeric=False)


def settings(values: dict[str, Any]) -> Table:
    """Every setting by the name of its variable; values that were left out are empty."""
    rows: list[tuple[str, str]] = []
    for group, inner in values.items():
        if isinstance(inner, dict):
            rows += [(variable(group, name), _setting(value)) for name, value in inner.items()]
        else:
            rows.append((variable(group), _setting(inner)))
    return Table("Settings", ("Variable", "Value"), rows, numeric=False)


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
