"""A network between containers from which nothing leads out, and on it, where a test wants it, one door to a server of this machine."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import socketserver
import subprocess
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.support.containers.podman import podman
from tests.support.servers.processes import Endpoint


@dataclass(frozen=True)
class Network:
    """An internal network: no gateway, no names from outside.  ``host`` is this machine's address on it."""

    name: str
    subnet: str
    host: str


@contextlib.contextmanager
def internal() -> Iterator[Network]:
    """A network for as long as the block runs."""
    name = f"job-test-{uuid.uuid4().hex[:8]}"
    podman("network", "create", "--internal", name)
    try:
        found = json.loads(podman("network", "inspect", name).stdout)[0]
        subnet, bridge = found["subnets"][0]["subnet"], found["network_interface"]
        host = subnet.rpartition(".")[0] + ".1"
        # The bridge would come with the first container and without an address: nobody on it would reach this machine.
        ip("link", "add", "name", bridge, "type", "bridge")
        ip("address", "add", f"{host}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        try:
            yield Network(name, subnet, host)
        finally:
            ip("link", "delete", bridge)
    finally:
        podman("network", "rm", "--force", name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, stdin=subprocess.DEVNULL, capture_output=True)


@contextlib.contextmanager
def door(network: Network, server: Endpoint) -> Iterator[Endpoint]:
    """The server, as containers on the network reach it: what is sent to a port of the host's address is handed on."""
    scheme, _, place = server.url.partition("://")
    target, _, port = place.partition(":")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((target, int(port))) as behind:
                _exchange(self.request, behind)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server((network.host, 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield replace(server, url=f"{scheme}://{network.host}:{listening.server_address[1]}")
        finally:
            listening.shutdown()
            thread.join()


def _exchange(front: socket.socket, behind: socket.socket) -> None:
    """Carry bytes both ways until both sides have said all."""
    other, open_ones = {front: behind, behind: front}, {front, behind}
    with contextlib.suppress(ConnectionError):
        while open_ones:
            for ready in select.select(list(open_ones), [], [])[0]:
                data = ready.recv(1 << 16)
                if data:
                    other[ready].sendall(data)
                else:
                    open_ones.discard(ready)
                    other[ready].shutdown(socket.SHUT_WR)
