"""A node's connections to others: one thread listens at each, one shows that this node lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from job.cluster.channel import Channel

PULSE_S = 0.5
LINGER_S = 2.0
"""How long the end waits for the other nodes to have heard of it."""


class Links:
    """Connections by rank: to every other node on the main one, to the main node elsewhere.

    Args:
        channels: the connections.
        take: called with the sender's rank and its message, for every message but pulses.
        lost: called with the rank of a node whose connection ended.
        beat: called about twice a second.
    """

    def __init__(
        self,
        channels: Mapping[int, Channel],
        take: Callable[[int, Mapping[str, Any]], None],
        lost: Callable[[int], None],
        beat: Callable[[], None],
    ) -> None:
        self._channels = channels
        self._take, self._lost, self._beat = take, lost, beat
        self._over = threading.Event()
        self._threads = [
            *(threading.Thread(target=self._listen, args=link, name=f"node-{link[0]}", daemon=True) for link in channels.items()),
            threading.Thread(target=self._pulse, name="pulse", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def local_address(self) -> str:
        """The address of this node on the network where the nodes met."""
        return next(iter(self._channels.values())).local_address

    @property
    def remote_address(self) -> str:
        """The address of the first node at another end."""
        return next(iter(self._channels.values())).remote_address

    def tell(self, message: Mapping[str, Any], but: int | None = None) -> None:
        """Send a message to every node at another end, but for one."""
        for node, channel in self._channels.items():
            if node != but:
                channel.send(message)

    def close(self) -> None:
        """End the connections, once the others have heard what was said last."""
        self._over.set()
        for channel in self._channels.values():
            channel.finish()
        deadline = time.monotonic() + LINGER_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for channel in self._channels.values():
            channel.close()

    def _listen(self, node: int, channel: Channel) -> None:
        while (message := channel.receive()) is not None:
            if message["kind"] != "pulse":
                self._take(node, message)
        self._lost(node)

    def _pulse(self) -> None:
        while not self._over.wait(PULSE_S):
            self.tell({"kind": "pulse"})
            self._beat()
