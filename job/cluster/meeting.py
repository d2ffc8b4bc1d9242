"""How the node processes of a launch find each other: the main node listens, the others come, in any order, minutes apart if need be.

It happens before the run is taken over in the store, so that a launch which never becomes whole does not fence off one that works.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from job.cluster.channel import Channel
from job.cluster.group import LinkedGroup, NodeGroup
from job.cluster.hello import Hello, counts_differ, read
from job.cluster.nodes import NodePlace
from job.cluster.stop import StopRequest
from job.errors import ERRORS, JobError, SettingsError, UnavailableError

logger = logging.getLogger(__name__)
POLL_S, KNOCK_S = 0.1, 0.5
HELLO_TIMEOUT_S = 5.0
_TOGETHER = "Start the run on all nodes, with the same JOB_RUN__NAME, and see that they reach {where}. JOB_PARALLEL__RENDEZVOUS_TIMEOUT_S is how long they wait."


@dataclass(frozen=True)
class Patience:
    """How long nodes wait for each other at the start, and after how much silence one counts as lost; seconds."""

    rendezvous_s: float
    silence_s: float


def meet(run: str, place: NodePlace, patience: Patience, stop: StopRequest) -> NodeGroup:
    """The group of all nodes, once they are all there.

    Raises:
        UnavailableError: when not all of them came in time.
        SettingsError: when two of them do not agree about the number of nodes, or have the same rank.
        StopRequested: on a stop request while waiting.
    """
    if place.num_nodes == 1:
        return NodeGroup()
    hello = Hello.of(run, place)
    if place.node_rank == 0:
        return Door(hello, place.main_port, patience).gather(stop)
    return _Guest(hello, place, patience).come(stop)


class Door:
    """The main node's side: it stays open for the attempt, because a node that comes again must be told, and noticed."""

    def __init__(self, hello: Hello, port: int, patience: Patience) -> None:
        self._hello, self._patience = hello, patience
        self._seats: dict[int, tuple[Channel, Hello]] = {}
        self._lock = threading.Lock()
        self._group: LinkedGroup | None = None
        self._error: SettingsError | None = None
        self._server = _listening(port)
        self._where = f"port {port} of {hello.host}"
        self._thread = threading.Thread(target=self._admit, name="door", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let nobody in any more."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def gather(self, stop: StopRequest) -> LinkedGroup:
        """Wait until every seat is taken."""
        try:
            return self._gather(stop)
        except JobError as error:
            self.close()
            for channel, _ in self._seats.values():
                channel.send(_refusal(error))
                channel.finish()
                channel.close()
            raise

    def _gather(self, stop: StopRequest) -> LinkedGroup:
        others = self._hello.num_nodes - 1
        logger.info("waiting for %d other nodes at %s", others, self._where)
        deadline, knock = time.monotonic() + self._patience.rendezvous_s, 0.0
        while True:
            stop.check()
            with self._lock:
                if self._error:
                    raise self._error
                if len(self._seats) == others or time.monotonic() > knock:
                    self._see_who_is_there()
                    knock = time.monotonic() + KNOCK_S
                if len(self._seats) == others:
                    return self._begin(stop)
            if time.monotonic() > deadline:
                raise self._not_complete()
            time.sleep(POLL_S)

    def _begin(self, stop: StopRequest) -> LinkedGroup:
        links = {node: channel for node, (channel, _) in sorted(self._seats.items())}
        hosts = [self._hello.host, *(self._seats[node][1].host for node in links)]
        for channel in links.values():
            channel.set_timeout(self._patience.silence_s)
            channel.send({"kind": "begin", "hosts": hosts})
        self._group = LinkedGroup(0, hosts, links, stop, self.close)
        return self._group

    def _see_who_is_there(self) -> None:
        for node, (channel, guest) in list(self._seats.items()):
            if channel.has_ended() or not channel.send({"kind": "pulse"}):
                logger.info("node %d (%s) is gone again", node, guest.host)
                del self._seats[node]
                channel.close()

    def _not_complete(self) -> UnavailableError:
        absent = sorted(set(range(1, self._hello.num_nodes)) - self._seats.keys())
        return UnavailableError(
            f"Nodes {absent} of {self._hello.num_nodes} did not come to {self._where} within {self._patience.rendezvous_s:.0f} s.",
            _TOGETHER.format(where=self._where),
        )

    def _admit(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # it was closed
                return
            threading.Thread(target=self._hear, args=(Channel(connection, HELLO_TIMEOUT_S),), name="hello", daemon=True).start()

    def _hear(self, channel: Channel) -> None:
        """Give the newcomer a seat, or say why not."""
        guest = read(channel.receive())
        if guest is None:
            channel.close()
            return
        with self._lock:
            answer = self._answer(guest)
            if answer["kind"] == "seated":
                before = self._seats.get(guest.node_rank)
                if before:
                    before[0].send({"kind": "replaced", "host": guest.host})
                    before[0].close()
                self._seats[guest.node_rank] = (channel, guest)
            channel.send(answer)
        if answer["kind"] != "seated":
            channel.finish()
            channel.receive()  # until it is gone
            channel.close()

    def _answer(self, guest: Hello) -> dict[str, Any]:
        if odd := self._hello.differs(guest):
            return {"kind": "later", "why": f"what answers there {odd}"}
        if guest.num_nodes != self._hello.num_nodes:
            self._error = self._error or counts_differ(self._hello, guest)
            return _refusal(self._error)
        if guest.node_rank >= guest.num_nodes:
            return _refusal(SettingsError("The rank of a node is less than the number of nodes.", "The nodes are numbered from 0."))
        if self._group is not None:
            # The newest wins, as in the store's log: whoever held this rank before is gone, or must go.
            self._group.lost(guest.node_rank, f"was started again on {guest.host} while the others ran")
            return {"kind": "later", "why": "the main node is still busy with an earlier start"}
        return {"kind": "seated"}


@dataclass(frozen=True)
class _Guest:
    """The other nodes' side: knock until the main node opens, then wait until all are there."""

    hello: Hello
    place: NodePlace
    patience: Patience

    def come(self, stop: StopRequest) -> LinkedGroup:
        deadline = time.monotonic() + self.patience.rendezvous_s
        why = "it was not tried"
        while time.monotonic() < deadline:
            stop.check()
            channel, failed = self._knock()
            if channel is not None:
                try:
                    answer = _answered(channel, stop)
                except JobError:
                    channel.close()
                    raise
                if answer["kind"] == "begin":
                    return LinkedGroup(self.place.node_rank, list(answer["hosts"]), {0: channel}, stop)
                channel.close()
                failed = str(answer["why"])
            if failed != why:
                logger.info("waiting for the main node: %s", failed)
            why = failed
            time.sleep(KNOCK_S)
        where = f"port {self.place.main_port} of {self.place.main_address} ({self.place.sources.get('main_address', 'default')})"
        raise UnavailableError(
            f"The main node was not met at {where} within {self.patience.rendezvous_s:.0f} s: {why}.", _TOGETHER.format(where=where)
        )

    def _knock(self) -> tuple[Channel | None, str]:
        try:
            connection = socket.create_connection((self.place.main_address, self.place.main_port), HELLO_TIMEOUT_S)
        except socket.gaierror:
            return None, "its name does not resolve"
        except OSError as error:
            return None, f"it does not answer ({error.strerror or 'timed out'})"
        channel = Channel(connection, self.patience.silence_s)
        channel.send(self.hello.message())
        return channel, ""


def _answered(channel: Channel, stop: StopRequest) -> Mapping[str, Any]:
    """What the main node says at last: ``begin``, or that it is to be tried again later, and why.

    Raises:
        JobError: what ended the main node's wait, or why this node has no place.
    """
    while (message := channel.receive()) is not None:
        stop.check()
        if message["kind"] == "replaced":
            raise SettingsError(
                f"A node process on {message['host']} has the same rank as this one.",
                "Give every node a JOB_PARALLEL__NODE_RANK of its own.",
            )
        if message["kind"] == "refused":
            raise ERRORS.get(message["code"], UnavailableError)(str(message["why"]), str(message["hint"]))
        if message["kind"] in ("begin", "later"):
            return message
    return {"kind": "later", "why": "it answered and was gone again"}


def _refusal(error: JobError) -> dict[str, Any]:
    return {"kind": "refused", "code": error.exit_code, "why": error.message, "hint": error.hint}


def _listening(port: int) -> socket.socket:
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise UnavailableError(
            f"Port {port} of this machine, where the nodes are to meet, cannot be listened at: {error.strerror}.",
            "Something else has it: another run on this machine? JOB_PARALLEL__MAIN_PORT chooses another, on every node.",
        ) from error
