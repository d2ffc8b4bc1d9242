"""How much a run ever holds on a local disk, looked at while it runs: what is cleared away at the end fills a disk all the same."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.faults.bench import Subject

EVERY_S = 0.1
NUM_CHECKPOINTS = 4
"""One that the run continues from, one that is written, one that waits, and one that is uploaded."""


@dataclass
class Peak:
    """The most that one place of a run held while the block ran."""

    subject: Subject
    most_bytes: int = 0
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        if self._thread:
            self._thread.join()
        self._look()

    def check(self, reference: Subject, input_bytes: int = 0) -> list[str]:
        """Whether it was more than a run may hold, ``input_bytes`` of an unusual input among it; in words."""
        bound = bound_bytes(self.subject, reference) + input_bytes
        found = f"{self.most_bytes:,} bytes lay on one machine's disk; {bound:,} are twice what an undisturbed run leaves and"
        return [f"{found} {NUM_CHECKPOINTS} checkpoints, and the input"] if self.most_bytes > bound else []

    def _sample(self) -> None:
        while not self._done.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        self.most_bytes = max(self.most_bytes, self.subject.local_bytes())


def bound_bytes(subject: Subject, reference: Subject) -> int:
    """Twice what an undisturbed run leaves (base model, prepared data, the model to publish, its report, logs), and four checkpoints.

    Twice, because a file is there once more while it is written, and logs grow with every start.
    """
    sizes = [
        entry["fields"]["size_bytes"] for one in (subject, reference) for entry in one.entries() if entry["kind"] == "committed"
    ]
    return 2 * reference.local_bytes() + NUM_CHECKPOINTS * max(sizes)
