"""Upload of one large file in parts: each part checked by the store on arrival, the whole compared afterwards.

boto3's own ``upload_file`` is not used: it retries with Python's global random generator, and does not compare the result.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import Any

from job.errors import JobError, UnavailableError
from job.storage import s3_checksum
from job.storage.base import MissingObjectError
from job.storage.options import MEBIBYTE
from job.storage.s3_bucket import Bucket
from job.storage.s3_checksum import PartDigest

logger = logging.getLogger(__name__)
_MAX_PARTS = 10_000
_ATTEMPTS = 3


@dataclass(frozen=True)
class SentPart:
    """A part as `CompleteMultipartUpload` wants to hear of it, and its checksums."""

    entry: dict[str, Any]
    digest: PartDigest


def upload_in_parts(bucket: Bucket, key: str, path: Path) -> None:
    """Upload and confirm; no open upload is left behind when it fails.

    Raises:
        UnavailableError: when the store does not answer in time, or ends our uploads or changes our bytes three times in a row.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _upload_once(bucket, key, path)
        except (MissingObjectError, s3_checksum.OtherBytesError) as error:
            # Aborted by someone's cleaning up, or damaged on the way: from the beginning, it is the same key and the same bytes.
            if attempt == _ATTEMPTS:
                raise UnavailableError(
                    f"The upload of {bucket.uri(key)} failed {attempt} times: {error.message}", error.hint
                ) from error
            logger.warning("%s Starting the upload again.", error.message)
        else:
            return


def part_size(size_bytes: int, part_bytes: int) -> int:
    """The size of a part: ``part_bytes``, or as many whole MiB as keep a file within S3's 10,000 parts."""
    needed = -(-size_bytes // _MAX_PARTS)
    return part_bytes if needed <= part_bytes else -(-needed // MEBIBYTE) * MEBIBYTE


def _upload_once(bucket: Bucket, key: str, path: Path) -> None:
    algorithm: Any = {"ChecksumAlgorithm": "SHA256"} if bucket.checksums.sha256 else {}
    begin = methodcaller("create_multipart_upload", Bucket=bucket.name, Key=key, **algorithm)
    target = {"Bucket": bucket.name, "Key": key, "UploadId": bucket.request(begin, key)["UploadId"]}
    try:
        sent = _send_parts(bucket, target, path)
        _complete(bucket, target, sent)
    except BaseException:
        _abort(bucket, target)
        raise
    bucket.confirm_size(key, path.stat().st_size)


def _send_parts(bucket: Bucket, target: dict[str, str], path: Path) -> list[SentPart]:
    size = path.stat().st_size
    part_bytes = part_size(size, bucket.options.part_bytes)
    with path.open("rb") as file, ThreadPoolExecutor(bucket.options.num_threads, thread_name_prefix="upload") as pool:

        def send(index: int) -> SentPart:
            return _send_part(bucket, target, index + 1, os.pread(file.fileno(), part_bytes, index * part_bytes))

        return list(pool.map(send, range(-(-size // part_bytes))))


def _send_part(bucket: Bucket, target: dict[str, str], number: int, data: bytes) -> SentPart:
    digest = PartDigest.of(data)
    headers = digest.headers(bucket.checksums)
    request: dict[str, Any] = {**target, "PartNumber": number, "Body": data, **headers}
    reply = bucket.request(methodcaller("upload_part", **request), target["Key"])
    entry = {"PartNumber": number, "ETag": reply["ETag"]}
    if "ChecksumSHA256" in headers:
        entry["ChecksumSHA256"] = headers["ChecksumSHA256"]
    return SentPart(entry, digest)


def _complete(bucket: Bucket, target: dict[str, str], sent: list[SentPart]) -> None:
    key = target["Key"]
    request: dict[str, Any] = {**target, "MultipartUpload": {"Parts": [part.entry for part in sent]}}
    try:
        bucket.request(methodcaller("complete_multipart_upload", **request), key)
    except MissingObjectError:
        # The upload is no longer open.  If a request whose reply was lost completed it, the object is there and is ours.
        logger.warning("The upload of %s is no longer open; looking at the object.", bucket.uri(key))
    s3_checksum.confirm(bucket.head(key), [part.digest for part in sent], bucket.checksums, bucket.uri(key), multipart=True)


def _abort(bucket: Bucket, target: dict[str, str]) -> None:
    try:
        request: dict[str, Any] = {**target}
        bucket.request(methodcaller("abort_multipart_upload", **request), target["Key"])
    except MissingObjectError:
        logger.debug("The upload of %s was no longer open.", target["Key"])
    except JobError as error:
        logger.warning("An interrupted upload stays on the store until the next start: %s", error.message)
