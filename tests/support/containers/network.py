"""A network between containers from which nothing leads out, and on it, where a test wants it, one door to a server of this machine."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.containers.podman import podman, variables
from tests.support.servers.processes import Endpoint, certificate


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
    """The server, as containers on the network reach it: by https at the host's address, handed on to where it listens.

    Its ``ca_bundle`` is a file of this machine, for a container to mount.
    """
    place = server.url.partition("://")[2]
    target, _, port = place.partition(":")
    with tempfile.TemporaryDirectory(prefix="door-") as name:
        crt, key = certificate(Path(name), network.host)
        crt.chmod(0o644)
        crt.parent.chmod(0o755)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with (
                    contextlib.suppress(OSError),
                    context.wrap_socket(self.request, server_side=True) as front,
                    socket.create_connection((target, int(port))) as behind,
                ):
                    _exchange(front, behind)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        with Server((network.host, 0), Handler) as listening:
            thread = threading.Thread(target=listening.serve_forever, daemon=True)
            thread.start()
            try:
                yield replace(server, url=f"https://{network.host}:{listening.server_address[1]}", ca_bundle=str(crt))
            finally:
                listening.shutdown()
                thread.join()


def reach(endpoint: Endpoint) -> list[str]:
    """Options of a container that is to speak to the server behind the door."""
    inside = "/etc/door.crt"
    environment = endpoint.environment() | {"AWS_CA_BUNDLE": inside}
    return [f"--volume={endpoint.ca_bundle}:{inside}:ro", *variables(environment)]


def _exchange(front: ssl.SSLSocket, behind: socket.socket) -> None:
    """Carry bytes both ways until one side has said all."""
    while True:
        # What was deciphered already waits in the socket's own buffer, of which the kernel knows nothing.
        ready = [front] if front.pending() else select.select([front, behind], [], [])[0]
        for source in ready:
            data = source.recv(1 << 16)
            if not data:
                return
            (behind if source is front else front).sendall(data)
