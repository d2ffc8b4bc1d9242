"""A connection between two node processes: JSON objects, one to a line, and silence that is noticed."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 4 << 20


class Channel:
    """One connection.  Sending is safe from several threads; one thread receives.

    Args:
        connection: connected.
        timeout_s: silence, or a full buffer at the other end, for longer than this ends it.
    """

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        connection.settimeout(timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._lock = threading.Lock()

    @property
    def local_address(self) -> str:
        """The address of this end, which the other end can reach."""
        return _plain(self._connection.getsockname()[0])

    @property
    def remote_address(self) -> str:
        return _plain(self._connection.getpeername()[0])

    def set_timeout(self, timeout_s: float) -> None:
        self._connection.settimeout(timeout_s)

    def send(self, message: Mapping[str, Any]) -> bool:
        """Send a message; False when the other end is gone, which whoever receives learns as well."""
        data = json.dumps(message).encode() + b"\n"
        with self._lock:
            try:
                self._connection.sendall(data)
            except OSError:
                return False
        return True

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when the other end is gone, was silent for too long, or speaks something else."""
        try:
            line = self._lines.readline(MAX_BYTES)
            message = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) and isinstance(message.get("kind"), str) else None

    def has_ended(self) -> bool:
        """Whether the other end has closed the connection, as the kernel does for a process that died.  Only while nobody receives."""
        try:
            waiting = select.poll()
            waiting.register(self._connection, select.POLLIN)
            return bool(waiting.poll(0)) and not self._connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):  # ValueError: this end was closed
            return True

    def finish(self) -> None:
        """Nothing more will be sent; what was sent arrives."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the connection, also for a thread that is receiving."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._lines.close()
        self._connection.close()


def _plain(address: str) -> str:
    """An IPv4 address as itself where the socket also speaks IPv6."""
    return address.removeprefix("::ffff:")
