"""The node processes of one launch, as one of them sees the others.

Each node but the main one keeps a connection to the main node for as long as the attempt lasts.  Over it go the few facts that all
must have in common, stop requests, and how each ended; and that it is there is how a node knows that another one lives.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from job.cluster.channel import Channel
from job.cluster.stop import StopRequest
from job.errors import COMPLETE, ERRORS, CrashError, FencedError, JobError

logger = logging.getLogger(__name__)
POLL_S = 0.1
PULSE_S = 0.5
LINGER_S = 2.0
"""How long the end waits for the other nodes to have heard of it."""


def no_work() -> None:
    """Nothing to do while waiting."""


class NodeGroup:
    """A single node: what it says is what all say."""

    num_nodes = 1
    node_rank = 0
    main_address = local_address = "127.0.0.1"
    """The main node's address as it was met, and this node's on the same network."""

    @property
    def is_main(self) -> bool:
        """Whether this node writes what is written once: log, manifests, model."""
        return self.node_rank == 0

    def name(self, node: int) -> str:
        """A node as messages call it."""
        return f"node {node}"

    def exchange(self, topic: str, value: Any, work: Callable[[], None] = no_work) -> list[Any]:  # noqa: ARG002 - for several nodes
        """Every node's ``value``, in the order of their ranks, once all have given theirs.

        All nodes call this with the same topics in the same order.

        Args:
            topic: what it is about.
            value: a JSON value.
            work: called about ten times a second while waiting; may raise.

        Raises:
            JobError: what ended another node.
        """
        return [value]

    def given(self, topic: str) -> Mapping[int, Any]:  # noqa: ARG002 - for several nodes
        """What other nodes have given for the next exchange on this topic, by rank; this node may be late."""
        return {}

    def wait_for_main(self, work: Callable[[], None] = no_work) -> None:
        """Wait until the main node says that the run is complete; arguments and errors as for `exchange`."""

    def verdict(self, error: JobError) -> JobError:
        """What ended the run: this node's error, or what another node ended with before."""
        return error

    def end(self, code: int, message: str = "", hint: str = "") -> None:
        """Tell the others how this node ended.  Nothing can be exchanged any more."""


class LinkedGroup(NodeGroup):
    """One of several nodes.

    Args:
        node_rank: of this node.
        hosts: of every node, in rank order.
        links: connections by rank: to every other node on the main one, to the main node elsewhere.
        stop: where stop requests and failures of other nodes go.
    """

    def __init__(self, node_rank: int, hosts: list[str], links: dict[int, Channel], stop: StopRequest) -> None:
        self.node_rank, self.num_nodes = node_rank, len(hosts)
        self.main_address = next(iter(links.values())).local_address if self.is_main else links[0].remote_address
        self.local_address = next(iter(links.values())).local_address
        self._hosts = hosts
        self._links = links
        self._stop = stop
        self._changed = threading.Condition()
        self._given: dict[str, dict[int, Any]] = defaultdict(dict)
        self._rounds: Counter[str] = Counter()
        self._ended: dict[int, int] = {}
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, args=link, name=f"node-{link[0]}", daemon=True) for link in links.items()
        ]
        for thread in (*self._threads, threading.Thread(target=self._pulse, name="pulse", daemon=True)):
            thread.start()

    def name(self, node: int) -> str:
        return f"node {node} ({self._hosts[node]})"

    def exchange(self, topic: str, value: Any, work: Callable[[], None] = no_work) -> list[Any]:
        key = self._next(topic)
        self._take_value(self.node_rank, key, value)
        self._rounds[topic] += 1
        while len(self._given[key]) < self.num_nodes:
            self._stop.raise_failure()
            work()
            with self._changed:
                if len(self._given[key]) < self.num_nodes:
                    self._changed.wait(POLL_S)
        return [self._given[key][node] for node in range(self.num_nodes)]

    def given(self, topic: str) -> Mapping[int, Any]:
        return dict(self._given[self._next(topic)])

    def wait_for_main(self, work: Callable[[], None] = no_work) -> None:
        while self._ended.get(0) != COMPLETE:
            self._stop.raise_failure()
            work()
            with self._changed:
                self._changed.wait(POLL_S)

    def verdict(self, error: JobError) -> JobError:
        return error if isinstance(error, FencedError) else self._stop.failure or error

    def end(self, code: int, message: str = "", hint: str = "") -> None:
        if self._over.is_set():
            return
        self._over.set()
        self._tell({"kind": "ended", "code": code, "message": message, "hint": hint})
        for channel in self._links.values():
            channel.finish()
        deadline = time.monotonic() + LINGER_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for channel in self._links.values():
            channel.close()

    def lost(self, node: int, why: str) -> None:
        """A node is gone without a word."""
        if self._over.is_set() or node in self._ended:
            return
        self._fail(
            CrashError(
                f"{self.name(node).capitalize()} {why}.",
                "Start the run again on all nodes: it continues from the last commit. That node's own log may say what happened.",
            )
        )

    def _next(self, topic: str) -> str:
        return f"{topic} {self._rounds[topic]}"

    def _tell(self, message: Mapping[str, Any], but: int | None = None) -> None:
        for node, channel in self._links.items():
            if node != but:
                channel.send(message)

    def _listen(self, node: int, channel: Channel) -> None:
        while (message := channel.receive()) is not None:
            self._take(node, message)
        self.lost(node, "is gone: its process or its machine ended, or the network between the nodes")

    def _take(self, sender: int, message: Mapping[str, Any]) -> None:
        kind = message["kind"]
        if kind == "value":
            self._take_value(int(message["node"]), str(message["key"]), message["value"], but=sender)
        elif kind == "stop":
            self._stop.relay(str(message["cause"]))
        elif kind == "ended":
            self._take_end(sender, int(message["code"]), message)

    def _take_value(self, node: int, key: str, value: Any, but: int | None = None) -> None:
        """Keep a value, and pass it on: this node's own, or, on the main node, another's to the rest."""
        with self._changed:
            self._given[key][node] = value
            self._changed.notify_all()
        if self.is_main or node == self.node_rank:
            self._tell({"kind": "value", "node": node, "key": key, "value": value}, but)

    def _take_end(self, node: int, code: int, message: Mapping[str, Any]) -> None:
        self._ended[node] = code
        if code != COMPLETE and not self._over.is_set():
            error = ERRORS.get(code, CrashError)
            said = str(message["message"])
            self._fail(error(said if said.startswith("Node ") else f"{self.name(node).capitalize()}: {said}", str(message["hint"])))
        with self._changed:
            self._changed.notify_all()

    def _fail(self, error: JobError) -> None:
        logger.warning("%s", error.message)
        self._stop.fail(error)

    def _pulse(self) -> None:
        """Show that this node lives, and pass a stop request on."""
        told = False
        while not self._over.wait(PULSE_S):
            self._tell({"kind": "pulse"})
            if not told and self._stop.seen():
                cause = self._stop.cause
                self._tell({"kind": "stop", "cause": cause if " on node " in cause else f"{cause} on {self.name(self.node_rank)}"})
                told = True
