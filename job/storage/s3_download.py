"""Download of one object, in ranges where it is large: a broken connection costs one range, not the file."""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from job.errors import DataError, UnavailableError
from job.storage import disk, s3_checksum
from job.storage.s3_bucket import Bucket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)
_ATTEMPTS = 3


@dataclass(frozen=True)
class Head:
    """The beginning of an object, and what the store said of the whole; ``md5`` only where the ETag is one, not of parts."""

    size_bytes: int
    etag: str
    data: bytes
    md5: str | None


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

        def get(client: S3Client) -> Head:
            reply = client.get_object(Bucket=self.bucket.name, Key=self.key, ChecksumMode="ENABLED")
            size, body = reply["ContentLength"], reply["Body"]
            with closing(body):  # a body's own context manager hands out the stream beneath it, without checks and error mapping
                # To its end, where it fits: there botocore compares the checksum that the store sent along.
                data = body.read() if size <= self.bucket.options.part_bytes else body.read(self.bucket.options.part_bytes)
            md5 = s3_checksum.md5_etag(reply, self.bucket.checksums)
            found = Head(size, reply["ETag"], data, None if md5 is None or "-" in md5 else md5)
            self._check(found)
            return found

        head: Head = self.bucket.request(get, self.key)
        return head

    def read_range(self, start: int, head: Head) -> bytes:
        """The range that begins at byte ``start``.

        Raises:
            DataError: when the object is no longer the one that ``head`` is of.
        """
        stop = min(start + self.bucket.options.part_bytes, head.size_bytes)

        def get(client: S3Client) -> bytes:
            reply = client.get_object(Bucket=self.bucket.name, Key=self.key, Range=f"bytes={start}-{stop - 1}")
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

    def _check(self, head: Head) -> None:
        if len(head.data) != min(head.size_bytes, self.bucket.options.part_bytes):
            raise UnavailableError(f"{self.bucket.uri(self.key)} was cut off at byte {len(head.data)}.")
        if len(head.data) == head.size_bytes and head.md5 and head.md5 != _md5(head.data):
            raise UnavailableError(f"{self.bucket.uri(self.key)} arrived with other bytes than its checksum says.")


def download(reader: RangeReader, path: Path) -> None:
    """Read an object into ``path``: temporary name, then rename.

    A range has no checksum; the whole is compared with the object's, where the store has one of it.

    Raises:
        MissingObjectError, DeniedError, UnavailableError: as the store says, or when other bytes arrive three times in a row.
        LocalIOError: when the disk refuses.
    """
    for _ in range(_ATTEMPTS):
        if _arrives_whole(reader, path):
            return
        logger.warning("%s arrived with other bytes than its checksum says.", reader.bucket.uri(reader.key))
    raise UnavailableError(
        f"{reader.bucket.uri(reader.key)} arrived {_ATTEMPTS} times with other bytes than its checksum says.",
        "The network or the store corrupts data.",
    )


def _arrives_whole(reader: RangeReader, path: Path) -> bool:
    head = reader.read_head()
    with disk.border(str(path), writing=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with disk.temporary_beside(path) as temporary:
            _read_ranges(reader, head, temporary)
            # What fits into the head was compared when it came.
            if len(head.data) < head.size_bytes and head.md5 and head.md5 != disk.md5_of(temporary):
                return False
            temporary.replace(path)
    return True


def _read_ranges(reader: RangeReader, head: Head, temporary: Path) -> None:
    options = reader.bucket.options
    starts = range(len(head.data), head.size_bytes, options.part_bytes)
    with temporary.open("xb") as file, ThreadPoolExecutor(options.num_threads, thread_name_prefix="download") as pool:
        file.write(head.data)
        file.flush()
        list(pool.map(partial(_fetch, reader, head, temporary), starts))


def _fetch(reader: RangeReader, head: Head, path: Path, start: int) -> None:
    data = reader.read_range(start, head)
    # By name: a stop request leaves this thread behind, and the number of a closed file may be another's by now.
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
