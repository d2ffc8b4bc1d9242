"""Writing to the local disk so that a file is there whole or not at all, and the disk's errors as ours."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from job.errors import LocalIOError, as_job_error
from job.run_dir import TEMPORARY_PREFIX
from job.storage.base import MissingObjectError

_CHUNK_BYTES = 1024 * 1024


@contextmanager
def border(subject: str, *, writing: bool = False) -> Iterator[None]:
    """Map the operating system's errors to ours; only for a reader does "not there" mean the object.

    Raises:
        MissingObjectError: when a reader finds no file.
        LocalIOError: for everything else.
    """
    try:
        yield
    except OSError as error:
        if not writing and isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            raise MissingObjectError(
                f"There is no file {error.filename or subject}.", "Check the location in the setting."
            ) from error
        known = as_job_error(error)
        if isinstance(known, LocalIOError):
            raise known from error
        raise LocalIOError(
            f"The file system refused an operation at {error.filename or subject}: {error.strerror}.",
            "Use a folder on a file system that knows hard links and renaming.",
        ) from error


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """A path in the same folder to write to and rename from; nothing stays there in any case."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def copy(source: Path, target: Path) -> str:
    """Copy the bytes of ``source`` to a new file ``target``; the sha256 of what was read."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """sha256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of(path: Path) -> str:
    """MD5 of a file, as hexadecimal digits: what a store's ETag is compared with."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, so that they survive a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems sync a folder by themselves and answer EINVAL to being asked.
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)
