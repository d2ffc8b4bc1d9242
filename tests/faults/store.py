"""An S3 server for one run, which keeps its objects as the local store would, and fails at a given request.

Between the job and the disk stands all of boto3; what the driver reads from outside are the same files as with a local store.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers.scripted import Fault, Requested, ScriptedS3, scripted_s3

BUCKET = "faults"


class Folder(MutableMapping[str, bytes]):
    """Objects by key, as files of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __getitem__(self, key: str) -> bytes:
        try:
            return (self._root / key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise KeyError(key) from None

    def __setitem__(self, key: str, content: bytes) -> None:
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(".tmp-" + path.name)
        temporary.write_bytes(content)
        temporary.rename(path)

    def __delitem__(self, key: str) -> None:
        try:
            (self._root / key).unlink()
        except FileNotFoundError:
            raise KeyError(key) from None

    def __contains__(self, key: object) -> bool:
        return (self._root / str(key)).is_file()

    def __iter__(self) -> Iterator[str]:
        for folder, _, names in os.walk(self._root):
            for name in names:
                if not name.startswith(".tmp-"):
                    yield str((Path(folder) / name).relative_to(self._root))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass
class Trouble:
    """One fault: what it does to the ``at``-th fitting request (from 1), and, unless ``once``, to all after it.

    ``methods`` and ``where`` (text of the key, or of what is listed) say what fits; ``damaged`` lets other bytes be stored than were sent.
    """

    fault: Fault
    at: int
    methods: str = "GET PUT POST DELETE HEAD"
    where: str = ""
    once: bool = True
    damaged: bool = False
    seconds: float = float("inf")
    """How long it lasts, from the first request that met it."""

    def fits(self, request: Requested) -> bool:
        said = f"/{request.key}/{request.query.get('prefix', '')}"
        return request.method in self.methods.split() and self.where in said


@dataclass
class TroubledS3(ScriptedS3):
    """Counts requests; ``hits`` are those that met the trouble."""

    trouble: Trouble | None = None
    count: int = 0
    since: float = 0.0
    hits: list[str] = field(default_factory=list)
    keys: frozenset[str] = frozenset()
    """The access keys that are taken, any when empty; a request with another one is a hit."""

    def plan(self, trouble: Trouble | None) -> None:
        with self.lock:
            self.trouble, self.count = trouble, 0
            self.hits.clear()

    def _put(self, request: Requested) -> tuple[int, dict[str, str], bytes]:
        if "if-none-match" not in request.headers:
            self.etags.pop(request.key, None)  # what is written again has another one
        return super()._put(request)

    def take_fault(self, request: Requested) -> Fault | None:
        with self.lock:
            self.requests.clear()  # bodies of whole runs are not kept
            if self.keys and access_key(request) not in self.keys:
                self.hits.append(f"{request.method} {request.key}")
                return Fault("", 400, "ExpiredToken")
            trouble = self.trouble
            if trouble is None or not trouble.fits(request):
                return None
            self.count += 1
            if self.count < trouble.at or (trouble.once and self.hits):
                return None
            self.since = time.monotonic() if not self.hits else self.since
            if time.monotonic() - self.since > trouble.seconds:
                return None
            self.hits.append(f"{request.method} {request.key}")
            if trouble.damaged and request.body:
                request.body = bytes([request.body[0] ^ 1]) + request.body[1:]
                return None
            return trouble.fault


def access_key(request: Requested) -> str:
    """Whose signature a request bears."""
    return request.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]


@contextlib.contextmanager
def troubled_s3(folder: Path) -> Iterator[TroubledS3]:
    """The server for as long as the block runs; its objects lie in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    state = TroubledS3()
    state.objects = Folder(folder)  # type: ignore[assignment]
    with scripted_s3(state):
        yield state
