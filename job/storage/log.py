"""The run's history in the store: small numbered objects, each put if absent, never changed and never deleted.

Whoever creates number n+1 first decides what comes after n.  That is all the protection a run needs from a second attempt, and
the only conditional operation that every store keeps its word on.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from job.errors import UnusableError
from job.storage.base import MissingObjectError, Store

SCHEMA = 1
_NAME = re.compile(r"(\d{10})\.json")
_THREADS = 8
_HINT = "Something else wrote to or deleted from the run's folder. Restore it, or start under another JOB_RUN__NAME."


@dataclass(frozen=True)
class LogEntry:
    """One entry: its number (from 1), kind, the attempt that wrote it, when (UTC), and what it says."""

    number: int
    kind: str
    attempt: int
    nonce: str
    fields: dict[str, Any] = field(default_factory=dict)
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def to_bytes(self) -> bytes:
        return json.dumps({"schema": SCHEMA, **vars(self)}, sort_keys=True, allow_nan=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> LogEntry:
        """Read what `to_bytes` wrote.  Raises `UnusableError` when it is damaged or of another schema."""
        try:
            values = json.loads(data)
            schema = values.pop("schema")
            entry = cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UnusableError(f"An entry of the run's log is damaged ({type(error).__name__}).", _HINT) from error
        if schema != SCHEMA:
            raise UnusableError(
                f"The run's log has schema {schema}; this version of the job reads {SCHEMA}.", "Use the version that wrote it."
            )
        return entry


@dataclass(frozen=True)
class Log:
    """The entries below ``<prefix>log/`` of a store."""

    store: Store
    prefix: str

    def key(self, number: int) -> str:
        return f"{self.prefix}log/{number:010d}.json"

    def read(self) -> list[LogEntry]:
        """All entries, in order; empty only when the store says that there is none.

        Raises:
            UnusableError: on a gap, a foreign object among them, or an entry that cannot be read.
            DeniedError, UnavailableError: as the store says; never taken for an empty log.
        """
        folder = f"{self.prefix}log/"
        names = [info.key.removeprefix(folder) for info in self.store.list(folder)]
        expected = [f"{number:010d}.json" for number in range(1, len(names) + 1)]
        if names != expected:
            odd = next((name for name in names if not _NAME.fullmatch(name)), None)
            wrong = f"holds a foreign object, {odd!r}" if odd else f"has a gap: {min(set(expected) - set(names))} is missing"
            raise UnusableError(f"The run's log at {self.store.uri}/{folder} {wrong}.", _HINT)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="log") as pool:
            return list(pool.map(self.read_one, range(1, len(names) + 1)))

    def read_one(self, number: int) -> LogEntry:
        """One entry that exists.  Raises `UnusableError` when it is damaged, gone, or another's."""
        try:
            entry = LogEntry.from_bytes(self.store.read_bytes(self.key(number)))
        except MissingObjectError as error:
            raise UnusableError(f"Entry {number} of the run's log vanished.", _HINT) from error
        if entry.number != number:
            raise UnusableError(f"Entry {number} of the run's log says that it is {entry.number}.", _HINT)
        return entry

    def put(self, entry: LogEntry) -> bool:
        """Append; False when the number is taken, which an append of our own whose reply was lost also makes it say."""
        return self.store.put_if_absent(self.key(entry.number), entry.to_bytes())
