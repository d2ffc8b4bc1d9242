"""One attempt's hold on the run's log: it appends, and notices when it has lost the run.

A start appends ``started``.  From then on the attempt owns the run for as long as nobody else's entry comes after: an append that
meets another's entry means that a newer attempt began, and this one must stop without publishing.  No clock takes part.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from job.errors import FencedError, JobError, StopRequested
from job.storage.log import Log, LogEntry
from job.storage.retention import payload_folder

logger = logging.getLogger(__name__)
_ENDINGS = ("complete", "stopped", "failed")


@dataclass
class Journal:
    """The log as one attempt knows it.

    ``entries`` is the log from its first entry; ``fenced`` false means that another's entries are passed over, as settings allow
    for stores without a sound put-if-absent.  Safe to use from several threads.
    """

    log: Log
    number: int
    nonce: str
    entries: list[LogEntry]
    fenced: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def append(self, kind: str, **fields: Any) -> LogEntry:
        """Append an entry.

        Raises:
            FencedError: when a newer attempt owns the run; again on every further append.
        """
        with self._lock:
            while True:
                entry = LogEntry(len(self.entries) + 1, kind, self.number, self.nonce, fields)
                found = entry if self.log.put(entry) and self.fenced else self.log.read_one(entry.number)
                if found.nonce != self.nonce and self.fenced:
                    raise self._lost_to(found)
                self.entries.append(found)
                # Our own entry under this number: the reply to this append was lost, or that to an earlier one which was given up.
                if found.to_bytes() == entry.to_bytes():
                    return entry
                logger.warning(
                    "Entry %d of the log is taken (%s by attempt %d); going on.", found.number, found.kind, found.attempt
                )

    def check_owner(self) -> None:
        """Ask whether the run is still this attempt's.

        Raises:
            FencedError: when a newer attempt owns it.
        """
        with self._lock:
            number = len(self.entries) + 1
            key = self.log.key(number)
            if self.fenced and any(info.key == key for info in self.log.store.list(key)):
                found = self.log.read_one(number)
                if found.nonce != self.nonce:
                    raise self._lost_to(found)

    @contextlib.contextmanager
    def uploading(self) -> Iterator[None]:
        """Around an upload: a newer attempt aborts those it finds, and then it is not the store's fault, and trying again would be wrong."""
        try:
            yield
        except StopRequested:
            raise  # says nothing of the store, which may be what takes too long
        except JobError:
            self.check_owner()
            raise

    def history(self) -> list[dict[str, Any]]:
        """One dict per attempt: ``number``, ``started``, ``steps`` (last one committed), and when or how it ended, by that name."""
        attempts: dict[str, dict[str, Any]] = {}
        for entry in self.entries:
            if entry.kind == "started":
                attempts[entry.nonce] = {"number": entry.attempt, "started": entry.time, "steps": None}
            elif entry.nonce in attempts and entry.kind == "committed":
                attempts[entry.nonce]["steps"] = entry["step"]
            elif entry.nonce in attempts and entry.kind in _ENDINGS:
                attempts[entry.nonce][entry.kind] = entry.fields.get("message") or entry.time
        return list(attempts.values())

    def uri_of(self, entry: LogEntry) -> str:
        """Where the payload of a ``committed`` or ``published`` entry lies."""
        return f"{self.log.store.uri}/{payload_folder(entry)}".rstrip("/")

    @property
    def prefix(self) -> str:
        """Where the attempt's own objects lie: nothing else writes there."""
        return f"{self.log.prefix}attempts/{self.nonce}/"

    @property
    def last_step(self) -> int | None:
        """The step of the newest commit, of any attempt."""
        return next((int(entry["step"]) for entry in reversed(self.entries) if entry.kind == "committed"), None)

    @property
    def last_commit(self) -> str | None:
        """The manifest of the newest commit, of any attempt."""
        return next((str(entry["manifest"]) for entry in reversed(self.entries) if entry.kind == "committed"), None)

    def _lost_to(self, found: LogEntry) -> FencedError:
        return FencedError(
            f"Attempt {found.attempt} of this run began at {found.time}; this one, attempt {self.number}, has lost the run.",
            "Nothing to do: the newer attempt continues it. Two at once usually mean a job submitted twice.",
        )
