"""The narrow protocol every store speaks.

It is narrow on purpose: list, read, write, delete, and *one* conditional operation, put-if-absent of a small object.  That is
all that AWS, Ceph, MinIO, R2 and a local folder have in common and keep their word on; the whole commit protocol
(``job/storage/commit.py``) stands on it.  Keys are relative to the store's root, with ``/`` between parts, and never begin
with ``/``, hold ``..``, a backslash or NUL.

Every method maps foreign errors once, here at the border, to `job.errors`: 403 → `DeniedError`, what is not there →
`MissingObjectError`, time-outs, 5xx and resets after bounded retries → `UnavailableError`, the local disk → `LocalIOError`.
"Denied" is never turned into "not found".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from job.errors import DataError


class MissingObjectError(DataError):
    """The object asked for is not there."""


@dataclass(frozen=True)
class ObjectInfo:
    """One object as listed: key relative to the store's root, size in bytes."""

    key: str
    size_bytes: int


@dataclass(frozen=True)
class OpenUpload:
    """An upload as begun: the key it is for, and what aborts it (no error when it has ended meanwhile)."""

    key: str
    abort: Callable[[], None]


class Store(Protocol):
    """An object store, or a folder that behaves as one."""

    @property
    def uri(self) -> str:
        """The store's root as a URI, without a trailing slash."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with ``prefix``, in key order."""
        ...

    def read_bytes(self, key: str) -> bytes:
        """The content of a small object.  Raises `MissingObjectError`."""
        ...

    def read_file(self, key: str, path: Path) -> None:
        """Download an object to ``path`` (written under a temporary name, then renamed).  Raises `MissingObjectError`."""
        ...

    def write_file(self, key: str, path: Path) -> None:
        """Upload a file under a key that was never used, and confirm size and checksum with the store."""
        ...

    def write_bytes(self, key: str, data: bytes) -> None:
        """Upload a small object under a key that was never used, and confirm it."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Create a small object; False when the key exists.  Of several callers at once exactly one gets True."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; no error when it is not there."""
        ...

    def open_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        """The uploads below ``prefix`` that were begun and not ended.  Not every store can tell, nor lets everybody ask."""
        ...


def abort_uploads(store: Store, prefix: str) -> int:
    """Abort interrupted uploads below ``prefix``; the number of them."""
    found = [*store.open_uploads(prefix)]
    for upload in found:
        upload.abort()
    return len(found)
