"""``job runs URI``: the runs at a place, their attempts, how far each came and how it ended."""

from __future__ import annotations

from job.errors import COMPLETE, ERRORS
from job.inspection.places import find_runs
from job.storage.log import Log, LogEntry

_OPEN = "running, or ended without a word"
_SHOWN = 100
"""Characters of a reason."""


def show(text: str) -> tuple[str, int]:
    """The runs below a URI as text, and the exit code.

    Raises:
        DataError, SettingsError, DeniedError, UnavailableError, UnusableError: as `find_runs` and `Log.read`.
    """
    store, names = find_runs(text)
    return "\n".join(_run(name, Log(store, f"{name}/").read()) for name in names), COMPLETE


def _run(name: str, entries: list[LogEntry]) -> str:
    commits = [entry for entry in entries if entry.kind == "committed"]
    last = f"last commit step {commits[-1]['step']} at {_time(commits[-1])}" if commits else "no commit"
    starts = [entry for entry in entries if entry.kind == "started"]
    lines = [f"{name}: {state(entries)}, {len(starts)} attempt(s), {last}"]
    return "\n".join([*lines, *(_attempt(start, entries) for start in starts)])


def state(entries: list[LogEntry]) -> str:
    """How a run stands, by its log."""
    if any(entry.kind == "complete" for entry in entries):
        return "complete"
    return {"stopped": "stopped", "failed": "failed"}.get(entries[-1].kind, _OPEN)


def _attempt(start: LogEntry, entries: list[LogEntry]) -> str:
    own = [entry for entry in entries if entry.nonce == start.nonce]
    steps = [entry["step"] for entry in own if entry.kind == "committed"]
    committed = f"steps {steps[0]} to {steps[-1]} in {len(steps)} commit(s)" if steps else "no commit"
    end = next((entry for entry in reversed(own) if entry.kind in ("complete", "stopped", "failed")), None)
    newer = any(entry.kind == "started" and entry.number > start.number for entry in entries)
    unsaid = "ended without a word, a newer attempt took over" if newer else _OPEN
    return f"  attempt {start.attempt} ({start.nonce}) from {_time(start)}: {committed}; {ending(end) if end else unsaid}"


def ending(end: LogEntry) -> str:
    """How an attempt ended, by its last entry: when, with which code, why."""
    if end.kind == "complete":
        return f"complete at {_time(end)}"
    code = end.fields.get("code")
    reason = str(end.fields.get("message") or "")
    named = f" with {code} ({ERRORS[code].name})" if code in ERRORS else ""
    return f"{end.kind}{named} at {_time(end)}: {reason[:_SHOWN]}{'...' if len(reason) > _SHOWN else ''}".removesuffix(": ")


def _time(entry: LogEntry) -> str:
    return entry.time[:19].replace("T", " ")
