"""One bucket and its requests: each with retries, errors mapped and checksums compared.  Keys are the bucket's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from job.errors import UnavailableError
from job.storage import s3_checksum
from job.storage.base import ObjectInfo
from job.storage.options import StoreOptions
from job.storage.retry import Retries
from job.storage.s3_checksum import Checksums, PartDigest
from job.storage.s3_errors import explain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PRECONDITION_FAILED = 412
_DIRECTORY_BUCKET = "--x-s3"


class Bucket:
    """A bucket behind a boto3 client; safe to use from several threads.

    ``checksums`` is what the store is known to return; the probe sets it before work starts.
    """

    def __init__(self, client: S3Client, name: str, options: StoreOptions) -> None:
        self.client, self.name, self.options = client, name, options
        self.checksums = Checksums(etag_is_md5=not name.endswith(_DIRECTORY_BUCKET))

    def request(self, action: Callable[[], Any], key: str) -> Any:
        """Run one request; ``key`` is for the message."""
        return Retries(self.options.timeout_s, self.options.backoff_s).call(action, partial(explain, subject=self.uri(key)))

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object, in key order, but for the empty ones that consoles create to show a folder."""
        more: dict[str, Any] = {}
        while True:
            page = self.request(partial(self.client.list_objects_v2, Bucket=self.name, Prefix=prefix, **more), prefix)
            for found in page.get("Contents", []):
                if found["Size"] or not found["Key"].endswith("/"):
                    yield ObjectInfo(found["Key"], found["Size"])
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str]]:
        """(key, upload id) of every multipart upload that was begun and not ended."""
        more: dict[str, Any] = {}
        while True:
            page = self.request(partial(self.client.list_multipart_uploads, Bucket=self.name, Prefix=prefix, **more), prefix)
            yield from ((found["Key"], found["UploadId"]) for found in page.get("Uploads", []))
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def put(self, key: str, data: bytes, **condition: str) -> bool:
        """One PUT, its result compared with ``data``; False when the condition did not hold."""
        digest = PartDigest.of(data)
        target: Any = {"Bucket": self.name, "Key": key, "Body": data, **digest.headers(self.checksums), **condition}

        def put() -> bool:
            try:
                reply = self.client.put_object(**target)
            except self.client.exceptions.ClientError as error:
                if condition and error.response["ResponseMetadata"]["HTTPStatusCode"] == _PRECONDITION_FAILED:
                    return False
                raise
            if not s3_checksum.confirm(reply, [digest], self.checksums, self.uri(key)):
                self.confirm_size(key, len(data))
            return True

        return bool(self.request(put, key))

    def head(self, key: str) -> Any:
        """Size and checksums of an object.  Raises `MissingObjectError`."""
        return self.request(partial(self.client.head_object, Bucket=self.name, Key=key, ChecksumMode="ENABLED"), key)

    def confirm_size(self, key: str, size: int) -> None:
        """Compare an object's size: all that is left where a store's checksums say nothing.

        Raises:
            UnavailableError: when it is another.
        """
        kept = self.head(key)["ContentLength"]
        if kept != size:
            raise UnavailableError(f"The store holds {kept} bytes of {self.uri(key)}, {size} were sent.", "The store loses data.")
