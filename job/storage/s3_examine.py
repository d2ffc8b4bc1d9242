"""What an S3 store can do beyond the narrow protocol: multipart uploads, and which checksums it returns and compares.

Found out by trying, because S3 dialects differ in just this and documentation does not tell: some keep SHA-256, some ignore it;
some compare what they are sent with the bytes that arrive, some do not.
"""

from __future__ import annotations

import base64
import logging
import tempfile
from collections.abc import Iterator
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.storage.base import MissingObjectError
from job.storage.findings import Finding, attempt
from job.storage.s3_bucket import Bucket
from job.storage.s3_checksum import Checksums, PartDigest
from job.storage.s3_upload import upload_in_parts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)
_DATA = b"probe of checksums"
_CLIENT_ERRORS = range(400, 500)
_PASSING = {408, 409, 429}
"""Client errors that say nothing of what was asked: too slow, beside another, too often."""


def examine(bucket: Bucket, prefix: str) -> Iterator[Finding]:
    """Try checksums and multipart uploads below ``prefix``; from then on ``bucket`` uses the checksums that were found."""
    yield attempt("checksums", partial(_choose_checksums, bucket, prefix), required=False)
    yield attempt("comparing checksums", partial(_refuses_damage, bucket, prefix), required=False)
    yield attempt("multipart upload", partial(_uploads_in_parts, bucket, prefix))
    yield attempt("abort of multipart uploads", partial(_aborts, bucket, prefix))
    yield attempt("listing of multipart uploads", partial(_lists_uploads, bucket, prefix), required=False)


def abort(bucket: Bucket, key: str, upload_id: str) -> None:
    """Abort a multipart upload; no error when it has ended."""
    try:
        bucket.request(methodcaller("abort_multipart_upload", Bucket=bucket.name, Key=key, UploadId=upload_id), key)
    except MissingObjectError:
        logger.debug("The upload of %s was no longer open.", bucket.uri(key))


def _choose_checksums(bucket: Bucket, prefix: str) -> str:
    """Write an object with and without SHA-256, and see what the store says of it."""
    digest = PartDigest.of(_DATA)
    plain: Any = {"Bucket": bucket.name, "Key": f"{prefix}md5", "Body": _DATA, **digest.headers(Checksums())}
    etag = str(bucket.request(methodcaller("put_object", **plain), plain["Key"])["ETag"]).strip('"')
    hashed = plain | {"Key": f"{prefix}sha256", **digest.headers(Checksums(sha256=True))}
    keeps_sha256 = False
    if not _is_refused(bucket, hashed):
        sha256 = base64.b64encode(digest.sha256).decode()
        keeps_sha256 = bucket.head(hashed["Key"]).get("ChecksumSHA256") == sha256
    bucket.checksums = Checksums(etag_is_md5=etag == digest.md5.hex(), sha256=keeps_sha256)
    if bucket.checksums.etag_is_md5 or keeps_sha256:
        return ""
    return "the store returns neither MD5 nor SHA-256: only sizes are compared after an upload"


def _refuses_damage(bucket: Bucket, prefix: str) -> str:
    """Send a checksum of other bytes."""
    headers = PartDigest.of(b"other bytes").headers(bucket.checksums)
    damaged: Any = {"Bucket": bucket.name, "Key": f"{prefix}damaged", "Body": _DATA, **headers}
    return (
        ""
        if _is_refused(bucket, damaged)
        else "the store accepts bytes that differ from their checksum: they are compared afterwards"
    )


def _is_refused(bucket: Bucket, request: dict[str, Any]) -> bool:
    """Whether a PUT is answered by 4xx or 501; an answer that passes, or none, is no refusal and tried again."""

    def put(client: S3Client) -> bool:
        try:
            client.put_object(**request)
        except client.exceptions.ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            passes = status in _PASSING or error.response["Error"].get("Code") == "RequestTimeout"
            if (status in _CLIENT_ERRORS or status == 501) and not passes:
                return True
            raise
        return False

    return bool(bucket.request(put, str(request["Key"])))


def _uploads_in_parts(bucket: Bucket, prefix: str) -> str:
    with tempfile.NamedTemporaryFile() as file:
        file.write(_DATA)
        file.flush()
        upload_in_parts(bucket, f"{prefix}multipart", Path(file.name))
    return ""


def _aborts(bucket: Bucket, prefix: str) -> str:
    key = f"{prefix}aborted"
    abort(bucket, key, _begin(bucket, key))
    return ""


def _lists_uploads(bucket: Bucket, prefix: str) -> str:
    key = f"{prefix}listed"
    upload_id = _begin(bucket, key)
    try:
        found = (key, upload_id) in bucket.list_uploads(prefix)
    finally:
        abort(bucket, key, upload_id)
    return "" if found else "interrupted uploads are not listed: a life-cycle rule of the bucket has to remove them"


def _begin(bucket: Bucket, key: str) -> str:
    return str(bucket.request(methodcaller("create_multipart_upload", Bucket=bucket.name, Key=key), key)["UploadId"])
