"""A store that breaks at a chosen moment."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from job.errors import UnavailableError
from job.storage.base import ObjectInfo, OpenUpload, Store


class CrashedHereError(Exception):
    """The process would have died at this point."""


@dataclass
class FaultyStore:
    """Passes everything on to ``inner``, but for the writes of keys that hold a given text.

    ``crash_before`` and ``crash_after``: dies before or after such a write.  ``lose_reply``: it is done, and the answer is lost;
    ``lost`` counts those.  ``corrupt``: other bytes of the same size arrive.
    """

    inner: Store
    crash_before: str = ""
    crash_after: str = ""
    lose_reply: str = ""
    corrupt: str = ""
    lost: int = 0
    written: list[str] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return self.inner.uri

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.inner.list(prefix)

    def read_bytes(self, key: str) -> bytes:
        return self.inner.read_bytes(key)

    def read_file(self, key: str, path: Path) -> None:
        self.inner.read_file(key, path)

    def write_file(self, key: str, path: Path) -> None:
        self._write(key, lambda: self.inner.write_bytes(key, self._data(key, path.read_bytes())))

    def write_bytes(self, key: str, data: bytes) -> None:
        self._write(key, lambda: self.inner.write_bytes(key, self._data(key, data)))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self._write(key, lambda: self.inner.put_if_absent(key, data))

    def delete(self, key: str) -> None:
        self._write(key, lambda: self.inner.delete(key))

    def open_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        return self.inner.open_uploads(prefix)

    def _data(self, key: str, data: bytes) -> bytes:
        return bytes(byte ^ 1 for byte in data) if self.corrupt and self.corrupt in key else data

    def _write(self, key: str, action):
        if self.crash_before and self.crash_before in key:
            raise CrashedHereError(key)
        done = action()
        self.written.append(key)
        if self.lose_reply and self.lose_reply in key:
            self.lost += 1
            self.lose_reply = ""
            raise UnavailableError("The reply was lost.")
        if self.crash_after and self.crash_after in key:
            raise CrashedHereError(key)
        return done
