"""Download of one object, in ranges where it is large: a broken connection costs one range, not the file."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from job.errors import DataError, UnavailableError
from job.storage import disk, s3_checksum
from job.storage.s3_bucket import Bucket


@dataclass(frozen=True)
class Head:
    """The beginning of an object, and what the store said of the whole."""

    size_bytes: int
    etag: str
    data: bytes


@dataclass(frozen=True)
class RangeReader:
    """Reads one object, whole or by ranges of the options' ``part_bytes``."""

    bucket: Bucket
    key: str

    def read_all(self) -> bytes:
        """The whole object, for small ones.  Raises `MissingObjectError`."""
        head = self.read_head()
        ranges = range(len(head.data), head.size_bytes, self.bucket.options.part_bytes)
        return b"".join([head.data, *(self.read_range(start, head) for start in ranges)])

    def read_head(self) -> Head:
        """The first range, and all of an object that is no larger."""

        def get() -> Head:
            reply = self.bucket.client.get_object(Bucket=self.bucket.name, Key=self.key, ChecksumMode="ENABLED")
            size, body = reply["ContentLength"], reply["Body"]
            with closing(body):  # a body's own context manager hands out the stream beneath it, without checks and error mapping
                # To its end, where it fits: there botocore compares the checksum that the store sent along.
                data = body.read() if size <= self.bucket.options.part_bytes else body.read(self.bucket.options.part_bytes)
            self._check(reply, data, size)
            return Head(size, reply["ETag"], data)

        head: Head = self.bucket.request(get, self.key)
        return head

    def read_range(self, start: int, head: Head) -> bytes:
        """The range that begins at byte ``start``.

        Raises:
            DataError: when the object is no longer the one that ``head`` is of.
        """
        stop = min(start + self.bucket.options.part_bytes, head.size_bytes)

        def get() -> bytes:
            reply = self.bucket.client.get_object(Bucket=self.bucket.name, Key=self.key, Range=f"bytes={start}-{stop - 1}")
            with closing(reply["Body"]) as body:
                data = body.read()
            if reply["ETag"] != head.etag or not str(reply.get("ContentRange", "")).endswith(f"/{head.size_bytes}"):
                raise DataError(
                    f"{self.bucket.uri(self.key)} was changed while it was read.", "Write inputs under new names instead."
                )
            if len(data) != stop - start:
                raise UnavailableError(f"{self.bucket.uri(self.key)} was cut off at byte {start + len(data)}.")
            return data

        data: bytes = self.bucket.request(get, self.key)
        return data

    def _check(self, reply: Any, data: bytes, size: int) -> None:
        if len(data) != min(size, self.bucket.options.part_bytes):
            raise UnavailableError(f"{self.bucket.uri(self.key)} was cut off at byte {len(data)}.")
        md5 = s3_checksum.md5_etag(reply, self.bucket.checksums)
        if len(data) == size and md5 and "-" not in md5 and md5 != hashlib.md5(data, usedforsecurity=False).hexdigest():
            raise UnavailableError(f"{self.bucket.uri(self.key)} arrived with other bytes than its checksum says.")


def download(reader: RangeReader, path: Path) -> None:
    """Read an object into ``path``: temporary name, then rename.

    Raises:
        MissingObjectError, DeniedError, UnavailableError: as the store says.
        LocalIOError: when the disk refuses.
    """
    head = reader.read_head()
    options = reader.bucket.options
    with disk.border(str(path), writing=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with disk.temporary_beside(path) as temporary:
            with temporary.open("xb") as file, ThreadPoolExecutor(options.num_threads, thread_name_prefix="download") as pool:
                file.write(head.data)
                file.flush()
                list(
                    pool.map(
                        partial(_fetch, reader, head, file.fileno()), range(len(head.data), head.size_bytes, options.part_bytes)
                    )
                )
            temporary.replace(path)


def _fetch(reader: RangeReader, head: Head, descriptor: int, start: int) -> None:
    data, written = memoryview(reader.read_range(start, head)), 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], start + written)
