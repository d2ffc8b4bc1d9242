"""What an attempt tells of itself goes to the store while it lives: its worker programs' logs on this node, and the run's metrics.

With every commit, at least every `SHIP_EVERY_S`, and when the attempt ends, however it ends: of a machine that is lost, what was said
until then is there.  Each part holds what is new, and is never written again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from job.cluster.alive import SERVICE
from job.errors import JobError
from job.run_dir import RunDir
from job.storage.commit import Attempt

logger = logging.getLogger(__name__)
SHIP_EVERY_S = 60.0
MAX_BYTES = 4 << 20
"""Of a part; where more was said since the last one, the end counts."""


@dataclass
class _Tail:
    """A file that grows, and the part of it that is to be sent next: the same bytes under the same name until the store has them."""

    path: Path
    name: str
    offset: int = 0
    inode: int = 0
    number: int = 0
    part: tuple[str, bytes] | None = None

    def next(self, mask: Callable[[str], str], *, last: bool) -> tuple[str, bytes] | None:
        """Name and content of the next part; None when there is nothing new.  Half a line is sent only as the ``last``."""
        if self.part is None and (data := self._read(last=last)):
            self.number += 1
            self.part = f"{self.name}-{self.number:06d}.jsonl", mask(data.decode(errors="replace")).encode()
        return self.part

    def _read(self, *, last: bool) -> bytes:
        if not self.path.exists():
            return b""  # the metrics, between one attempt's and the next checkpoint's
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            if self.inode not in (0, status.st_ino) or status.st_size < self.offset:
                self.offset = 0  # replaced, as the metrics are when a run continues
            self.inode = status.st_ino
            file.seek(max(self.offset, status.st_size - MAX_BYTES))
            data = file.read()
            data = data if last else data[: data.rfind(b"\n") + 1]
            self.offset = max(self.offset, status.st_size - MAX_BYTES) + len(data)
        return data


class AttemptLogs:
    """The programs' logs from now on: the files themselves go on from attempt to attempt.  Safe to use from several threads."""

    def __init__(self, run_dir: RunDir) -> None:
        self._folder, self._metrics = run_dir.log("any").parent, run_dir.metrics
        self._starts = {path.name: path.stat().st_size for path in self._folder.glob("*.log")}
        self._tails: dict[Path, _Tail] = {}
        self._lock = threading.Lock()

    def upload(self, attempt: Attempt, node_rank: int, mask: Callable[[str], str], *, last: bool = False) -> None:
        """Write a part for each program that logged something new, and on the main node one of the metrics.

        That it fails is no reason to end otherwise.
        """
        try:
            with self._lock:
                for tail in self._all(node_rank):
                    while part := tail.next(mask, last=last):
                        attempt.write_part(*part)
                        tail.part = None
        except (JobError, OSError) as error:
            logger.warning("the logs of this attempt could not be written to the store: %s", error)

    def _all(self, node_rank: int) -> list[_Tail]:
        for path in sorted(self._folder.glob("*.log")):
            if path not in self._tails:
                self._tails[path] = _Tail(path, f"logs-node-{node_rank}-{path.stem}", self._starts.get(path.name, 0))
        if node_rank == 0 and self._metrics.exists() and self._metrics not in self._tails:
            self._tails[self._metrics] = _Tail(self._metrics, "metrics")
        return list(self._tails.values())


class Shipping:
    """Calls ``ship`` every `SHIP_EVERY_S` and whenever it is asked to, in a thread that nobody waits for: the store may not answer."""

    def __init__(self, ship: Callable[[], None]) -> None:
        self._ship, self._asked, self._over = ship, threading.Event(), False

    def ask(self) -> None:
        """Ship soon."""
        self._asked.set()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Ship while inside."""
        threading.Thread(target=self._work, name=f"{SERVICE}ship", daemon=True).start()
        try:
            yield
        finally:
            self._over = True
            self._asked.set()

    def _work(self) -> None:
        while True:
            self._asked.wait(SHIP_EVERY_S)
            self._asked.clear()
            if self._over:
                return
            self._ship()
