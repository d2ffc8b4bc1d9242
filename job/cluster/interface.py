"""The network interface that holds an address: how collectives on CPU are led over the network on which the nodes met.

Gloo goes where the host's own name leads, which on many systems is the loopback interface.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from pathlib import Path

_SIOCGIFADDR = 0x8915
_NAME_BYTES = 16


def interface_of(address: str) -> str:
    """The name of the interface with this address; empty when none has it."""
    named = [name for _, name in socket.if_nameindex()]
    if ":" in address:
        return next((name for name in named if socket.inet_pton(socket.AF_INET6, address) in _addresses_6(name)), "")
    return next((name for name in named if _address_4(name) == address), "")


def _address_4(name: str) -> str:
    """The interface's IPv4 address; empty when it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[: _NAME_BYTES - 1]))
        return socket.inet_ntoa(answer[20:24])
    return ""


def _addresses_6(name: str, table: Path = Path("/proc/net/if_inet6")) -> list[bytes]:
    if not table.exists():
        return []
    rows = (line.split() for line in table.read_text().splitlines())
    return [bytes.fromhex(row[0]) for row in rows if row[-1] == name]
