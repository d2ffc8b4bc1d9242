"""moto's S3 server on loopback: a mock, used for the one thing that the real servers here lack, checksums kept and returned.

It accepts any key and any damage, so it shows nothing about permissions and integrity.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.servers.processes import Endpoint, answers, free_ports, running, wait_until


@contextlib.contextmanager
def moto() -> Iterator[Endpoint]:
    """A server for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="moto-") as name:
        port, log = free_ports(1), Path(name) / "moto.out"
        with running([sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], log) as process:
            wait_until(lambda: answers(port), process, log)
            yield Endpoint("moto", f"http://127.0.0.1:{port}", "any", "any")
