"""Faults the Hub stand-in plays on request: a refusal, a broken connection, bytes that are not the file's."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

ALWAYS = 10**9


@dataclass
class Fault:
    """What happens to requests whose ``METHOD /path`` matches, ``times`` times.

    One of: ``status`` is answered, with ``headers``; the body ends after ``cut_after`` bytes; the first byte of the body is
    ``flipped``, so that the size stays right.
    """

    match: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    flipped: bool = False


class Faults:
    """The faults waiting to happen."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def take(self, request: str) -> Fault | None:
        """The fault for a request, counted; None when there is none."""
        with self._lock:
            for fault in self._waiting:
                if fault.times > 0 and re.search(fault.match, request):
                    fault.times -= 1
                    return fault
        return None

    def left(self) -> int:
        """How often a fault is still to happen."""
        return sum(fault.times for fault in self._waiting)
