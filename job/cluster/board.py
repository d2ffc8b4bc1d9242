"""What the nodes have said about each topic, round by round."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any


class Board:
    """Values by topic, round and node.  Safe to use from several threads; one of them goes through the rounds."""

    def __init__(self, num_nodes: int) -> None:
        self._num_nodes = num_nodes
        self._values: dict[str, dict[int, Any]] = defaultdict(dict)
        self._rounds: Counter[str] = Counter()
        self._changed = threading.Condition()

    def key(self, topic: str) -> str:
        """The next round about a topic."""
        return f"{topic} {self._rounds[topic]}"

    def begin(self, topic: str) -> str:
        """Begin the next round about a topic; its key."""
        key = self.key(topic)
        self._rounds[topic] += 1
        return key

    def put(self, key: str, node: int, value: Any) -> None:
        """A node said this."""
        with self._changed:
            self._values[key][node] = value
            self._changed.notify_all()

    def given(self, key: str) -> Mapping[int, Any]:
        """What was said so far, by rank."""
        with self._changed:
            return dict(self._values[key])

    def notify(self) -> None:
        """Wake whoever waits."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, key: str, timeout_s: float) -> list[Any] | None:
        """What all nodes said, in rank order; None when some have not, after a wait of at most ``timeout_s`` for one more to."""
        with self._changed:
            if len(self._values[key]) < self._num_nodes:
                self._changed.wait(timeout_s)
            found = self._values[key]
            return [found[node] for node in range(self._num_nodes)] if len(found) == self._num_nodes else None
