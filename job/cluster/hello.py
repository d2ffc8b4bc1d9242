"""What a node says when it comes to the main node, and whether the two were started as one launch."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from job.cluster.nodes import NodePlace
from job.errors import SettingsError

PROTOCOL = 1


@dataclass(frozen=True)
class Hello:
    """What a node says when it comes."""

    run: str
    launch: str
    num_nodes: int
    node_rank: int
    host: str

    @classmethod
    def of(cls, run: str, place: NodePlace) -> Hello:
        return cls(run, place.launch, place.num_nodes, place.node_rank, socket.gethostname())

    def message(self) -> dict[str, Any]:
        return {"kind": "hello", "protocol": PROTOCOL, **dataclasses.asdict(self)}

    def differs(self, other: Hello) -> str:
        """Why the other one is not of this launch, as a sentence's end; empty when it is."""
        if self.run != other.run:
            return "belongs to another run"
        if self.launch != other.launch:
            return "belongs to another start of the run"
        return ""


def read(message: Mapping[str, Any] | None) -> Hello | None:
    """None for what is no node process of this version."""
    if message is None or message.get("kind") != "hello" or message.get("protocol") != PROTOCOL:
        return None
    values = {name: message.get(name) for name in ("run", "launch", "num_nodes", "node_rank", "host")}
    with contextlib.suppress(TypeError, ValueError):
        hello = Hello(
            str(values["run"]),
            str(values["launch"]),
            int(values["num_nodes"] or 0),
            int(values["node_rank"] or 0),
            str(values["host"]),
        )
        return hello if hello.node_rank > 0 else None
    return None


def counts_differ(ours: Hello, theirs: Hello) -> SettingsError:
    return SettingsError(
        f"Node 0 ({ours.host}) was told of {ours.num_nodes} nodes, node {theirs.node_rank} ({theirs.host}) of {theirs.num_nodes}.",
        "Give all nodes the same JOB_PARALLEL__NUM_NODES.",
    )
