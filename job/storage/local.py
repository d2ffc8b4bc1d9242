"""A local or network folder that keeps the promises of an object store.

Writes appear whole or not at all and survive a power cut (file and folder are synced); put-if-absent is a hard link, which the
kernel, and every NFS server, creates for one caller only.
"""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from job.errors import DataError, LocalIOError, SettingsError
from job.run_dir import TEMPORARY_PREFIX
from job.storage import disk
from job.storage.base import MissingObjectError, ObjectInfo, OpenUpload
from job.storage.keys import check_key, path_below


@dataclass(frozen=True)
class LocalStore:
    """The store below ``root``, which is created by the first write."""

    root: Path

    @property
    def uri(self) -> str:
        return self.root.absolute().as_uri().rstrip("/")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every regular file whose key begins with ``prefix``, in key order.

        Raises:
            DataError: on a symbolic link to a folder, or something that is no regular file: nothing is left out in silence.
        """
        with disk.border(prefix):
            folder, above = _folder_of(self.root, prefix)
            for key, path in sorted(_walk(folder, above, prefix.removeprefix(above))):
                yield from _info(key, path)

    def glob(self, pattern: str) -> Iterator[ObjectInfo]:
        """Every file whose key matches a shell pattern, in key order, without walking through what cannot match."""
        with disk.border(pattern):
            found = glob.glob(pattern, root_dir=self.root, recursive=True)  # noqa: PTH207 - pathlib's wildcards match hidden files
            for key in sorted({key.rstrip("/") for key in found}):
                path = path_below(self.root, key)
                if path.is_file():
                    yield from _info(key, path)

    def read_bytes(self, key: str) -> bytes:
        with disk.border(key):
            return path_below(self.root, key).read_bytes()

    def read_file(self, key: str, path: Path) -> None:
        source = path_below(self.root, key)
        if not source.is_file():
            raise MissingObjectError(f"There is no file {source}.", "Check the location in the setting.")
        with disk.border(str(path), writing=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            with disk.temporary_beside(path) as temporary:
                _confirm(temporary, disk.copy(source, temporary))
                temporary.replace(path)

    def write_file(self, key: str, path: Path) -> None:
        with _staged(self.root, key) as (temporary, target):
            digest = disk.copy(path, temporary)
            disk.sync(temporary)
            _confirm(temporary, digest)
            temporary.replace(target)

    def write_bytes(self, key: str, data: bytes) -> None:
        with _staged(self.root, key) as (temporary, target):
            temporary.write_bytes(data)
            disk.sync(temporary)
            temporary.replace(target)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        with _staged(self.root, key) as (temporary, target):
            temporary.write_bytes(data)
            disk.sync(temporary)
            try:
                os.link(temporary, target)
            except FileExistsError:
                # NFS: a link whose reply was lost is tried again by the client and then "exists"; two links mean it was ours.
                return temporary.stat().st_nlink == 2
            return True

    def delete(self, key: str) -> None:
        with disk.border(key, writing=True):
            path = path_below(self.root, key)
            path.unlink(missing_ok=True)
            if path.parent != self.root:
                _remove_if_empty(path.parent)

    def open_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        """What is being written, or was left by writers that died, under temporary names."""
        folder, _ = _folder_of(self.root, prefix)
        # Unlike rglob, os.walk passes over a folder that another attempt has just removed.
        for above, _, names in os.walk(folder):
            for path in (Path(above, name) for name in names if name.startswith(TEMPORARY_PREFIX)):
                yield OpenUpload(path.relative_to(self.root).as_posix(), partial(_remove, path))


@contextmanager
def _staged(root: Path, key: str) -> Iterator[tuple[Path, Path]]:
    """A temporary path beside the key's own, and that one; both names are on disk when the block has ended."""
    with disk.border(key, writing=True):
        target = path_below(root, key)
        disk.make_folder(target.parent)
        with disk.temporary_beside(target) as temporary:
            yield temporary, target
        disk.sync(target.parent)


def _folder_of(root: Path, prefix: str) -> tuple[Path, str]:
    """The deepest folder that holds every key that begins with ``prefix``, and the keys' common beginning."""
    if root.exists() and not root.is_dir():
        raise SettingsError(f"{root} is a file, where a folder is needed.", "Name the folder that holds it, or another one.")
    above, slash, _ = prefix.rpartition("/")
    return (path_below(root, f"{above}/name").parent if slash else root), above + slash


def _remove(path: Path) -> None:
    with disk.border(str(path), writing=True):
        path.unlink(missing_ok=True)


def _walk(folder: Path, above: str, beginning: str = "") -> Iterator[tuple[str, Path]]:
    """(key, path) of every file below ``folder`` in names that begin so.  Unlike `os.walk` it raises on a folder that cannot be read."""
    if not folder.is_dir():
        return
    try:
        with os.scandir(folder) as found:
            entries = [*found]
    except FileNotFoundError:
        return  # removed since it was seen: an object store would not list it either
    for entry in entries:
        if entry.name.startswith(TEMPORARY_PREFIX) or not entry.name.startswith(beginning):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{above}{entry.name}/")
        elif entry.is_file():
            yield check_key(above + entry.name), Path(entry.path)
        elif os.path.lexists(entry.path):
            raise DataError(
                f"{entry.path} is neither a regular file nor a folder (a link to a folder, a broken link, a pipe ...).",
                "Remove it, or name the folder it leads to in the setting.",
            )


def _info(key: str, path: Path) -> Iterator[ObjectInfo]:
    """The file as listed; nothing when another attempt has removed it since it was seen, as two that clean up at once do."""
    try:
        size_bytes = path.stat().st_size
    except FileNotFoundError:
        return
    yield ObjectInfo(key, size_bytes)


def _remove_if_empty(folder: Path) -> None:
    """An object store has no empty folders; those further up stay, another writer may be about to use them."""
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
            raise


def _confirm(path: Path, sha256: str) -> None:
    if disk.sha256_of(path) != sha256:
        raise LocalIOError(
            f"{path.parent} kept other bytes than were written.", "The disk or network file system is broken: use another."
        )
