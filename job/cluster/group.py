"""The node processes of one launch, as one of them sees the others.

Each node but the main one keeps a connection to the main node for as long as the attempt lasts.  Over it go the few facts that all
must have in common, stop requests, and how each ended; and that it is there is how a node knows that another one lives.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from job.cluster.board import Board
from job.cluster.channel import Channel
from job.cluster.links import Links
from job.cluster.stop import StopRequest
from job.errors import COMPLETE, ERRORS, CrashError, FencedError, JobError

logger = logging.getLogger(__name__)
POLL_S = 0.1


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
        """What nodes have given for the next exchange on this topic, by rank; this node may be late."""
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
        channels: connections by rank: to every other node on the main one, to the main node elsewhere.
        stop: where stop requests and failures of other nodes go.
        at_end: called when this node ends.
    """

    def __init__(
        self,
        node_rank: int,
        hosts: list[str],
        channels: dict[int, Channel],
        stop: StopRequest,
        at_end: Callable[[], None] = no_work,
    ) -> None:
        self.node_rank, self.num_nodes = node_rank, len(hosts)
        self._hosts, self._stop, self._at_end = hosts, stop, at_end
        self._board = Board(len(hosts))
        self._ended: dict[int, int] = {}
        self._over = self._told_of_stop = False
        self._links = Links(channels, self._take, self.lost, self._pass_stop_on)
        self.local_address = self._links.local_address
        self.main_address = self.local_address if self.is_main else self._links.remote_address
        self._links.start()

    def name(self, node: int) -> str:
        return f"node {node} ({self._hosts[node]})"

    def exchange(self, topic: str, value: Any, work: Callable[[], None] = no_work) -> list[Any]:
        key = self._board.begin(topic)
        self._board.put(key, self.node_rank, value)
        self._links.tell({"kind": "value", "node": self.node_rank, "key": key, "value": value})
        while (values := self._board.wait(key, POLL_S)) is None:
            self._stop.raise_failure()
            work()
        return values

    def given(self, topic: str) -> Mapping[int, Any]:
        return self._board.given(self._board.key(topic))

    def wait_for_main(self, work: Callable[[], None] = no_work) -> None:
        while self._ended.get(0) != COMPLETE:
            self._stop.raise_failure()
            work()
            self._board.wait("the main node", POLL_S)

    def verdict(self, error: JobError) -> JobError:
        return error if isinstance(error, FencedError) else self._stop.failure or error

    def end(self, code: int, message: str = "", hint: str = "") -> None:
        if not self._over:
            self._over = True
            self._at_end()
            self._links.tell({"kind": "ended", "code": code, "message": message, "hint": hint})
            self._links.close()

    def lost(self, node: int, why: str = "is gone: its process or its machine ended, or the network between the nodes") -> None:
        """A node ended without a word."""
        if not self._over and node not in self._ended:
            logger.warning("%s %s", self.name(node), why)
            self._stop.fail(
                CrashError(
                    f"{self.name(node).capitalize()} {why}.",
                    "Start the run again on all nodes: it continues from the last commit. That node's own log may say what happened.",
                )
            )

    def _take(self, sender: int, message: Mapping[str, Any]) -> None:
        """What another node says; the main node passes on to the rest what concerns them."""
        kind = message["kind"]
        if kind == "value":
            self._board.put(str(message["key"]), int(message["node"]), message["value"])
            if self.is_main:
                self._links.tell(message, but=sender)
        elif kind == "stop":
            self._stop.request(str(message["cause"]), wake=True)
        elif kind == "ended":
            self._ended[sender] = code = int(message["code"])
            if code != COMPLETE and not self._over:
                said = str(message["message"])
                named = said if said.startswith(("Node ", "On node ")) else f"{self.name(sender).capitalize()}: {said}"
                self._stop.fail(ERRORS.get(code, CrashError)(named, str(message["hint"])))
            self._board.notify()

    def _pass_stop_on(self) -> None:
        """A stop request of this node is everybody's."""
        if not self._told_of_stop and self._stop.seen():
            self._told_of_stop = True
            cause = self._stop.cause
            named = cause if " on node " in cause else f"{cause} on {self.name(self.node_rank)}"
            self._links.tell({"kind": "stop", "cause": named})
