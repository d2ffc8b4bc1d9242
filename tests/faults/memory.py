"""The log from fault to fault: a tail that is lost leaves no gap, and only somebody who saw it before can tell."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.faults.bench import NAME, Subject


@dataclass
class Memory:
    """A run's log as it was after the last fault, by file name, to the byte."""

    entries: dict[str, bytes] = field(default_factory=dict)

    def look(self, subject: Subject) -> list[str]:
        """What of the log is gone or another by now, in words; remembers what stands there."""
        before, now = self.entries, {path.name: path.read_bytes() for path in (subject.store / NAME / "log").glob("*.json")}
        self.entries = now
        wrong = [
            f"entry {name} of the log was there and is {'another' if name in now else 'gone'}"
            for name, content in sorted(before.items())
            if now.get(name) != content
        ]
        old, new = _newest(before), _newest(now)
        if old and not (new and new["number"] >= old["number"] and new["fields"]["step"] >= old["fields"]["step"]):
            wrong.append(
                f"the newest commit was of step {old['fields']['step']} and is of {new['fields']['step'] if new else 'none'}"
            )
        return wrong


def _newest(entries: dict[str, bytes]) -> dict[str, Any] | None:
    """The last commit."""
    found = [json.loads(entries[name]) for name in sorted(entries)]
    return next((entry for entry in reversed(found) if entry["kind"] == "committed"), None)
