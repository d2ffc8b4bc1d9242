"""One bucket and its requests: each with retries, errors mapped and checksums compared.  Keys are the bucket's own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from job.errors import JobError, SettingsError, UnavailableError
from job.storage import s3_checksum
from job.storage.base import ObjectInfo
from job.storage.options import StoreOptions
from job.storage.retry import Retries
from job.storage.s3_checksum import Checksums, PartDigest
from job.storage.s3_errors import are_keys_stale, explain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)
_PRECONDITION_FAILED = 412
_DIRECTORY_BUCKET = "--x-s3"


class Bucket:
    """A bucket behind a boto3 client; safe to use from several threads.

    ``checksums`` is what the store is known to return; the probe sets it before work starts.  ``connect`` makes another client, from
    the credentials as they are by then: a client never reads them again, and a run may outlive the keys it began with.
    """

    def __init__(self, client: S3Client, name: str, options: StoreOptions, connect: Callable[[], S3Client] | None = None) -> None:
        self.client, self.name, self.options = client, name, options
        self._connect, self._lock = connect, threading.Lock()
        self.checksums = Checksums(etag_is_md5=not name.endswith(_DIRECTORY_BUCKET))

    def request(self, action: Callable[[S3Client], Any], key: str) -> Any:
        """Run one request, once more with new keys where the store no longer takes the old ones; ``key`` is for the message."""
        retries, explained = Retries(self.options.timeout_s, self.options.backoff_s), partial(explain, subject=self.uri(key))
        client = self.client
        try:
            return retries.call(partial(action, client), explained)
        except JobError as error:
            if not are_keys_stale(error.__cause__) or not self._renew(client):
                raise
        return retries.call(partial(action, self.client), explained)

    def _renew(self, refused: S3Client) -> bool:
        """Replace a client whose keys were refused, once for all threads that notice; whether there is another one."""
        with self._lock:
            if self.client is refused and self._connect:
                try:
                    self.client = self._connect()
                except SettingsError as error:  # says less than the store did of the keys
                    logger.warning("The credentials could not be read again: %s", error)
            return self.client is not refused

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object, in key order, but for the empty ones that consoles create to show a folder."""
        more: dict[str, Any] = {}
        while True:
            page = self.request(methodcaller("list_objects_v2", Bucket=self.name, Prefix=prefix, **more), prefix)
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
            page = self.request(methodcaller("list_multipart_uploads", Bucket=self.name, Prefix=prefix, **more), prefix)
            yield from ((found["Key"], found["UploadId"]) for found in page.get("Uploads", []))
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def put(self, key: str, data: bytes, **condition: str) -> bool:
        """One PUT, its result compared with ``data``; False when the condition did not hold."""
        digest = PartDigest.of(data)
        target: Any = {"Bucket": self.name, "Key": key, "Body": data, **digest.headers(self.checksums), **condition}

        def put(client: S3Client) -> bool:
            try:
                reply = client.put_object(**target)
            except client.exceptions.ClientError as error:
                if condition and error.response["ResponseMetadata"]["HTTPStatusCode"] == _PRECONDITION_FAILED:
                    return False
                raise
            if not s3_checksum.confirm(reply, [digest], self.checksums, self.uri(key)):
                self.confirm_size(key, len(data))
            return True

        return bool(self.request(put, key))

    def head(self, key: str) -> Any:
        """Size and checksums of an object.  Raises `MissingObjectError`."""
        return self.request(methodcaller("head_object", Bucket=self.name, Key=key, ChecksumMode="ENABLED"), key)

    def confirm_size(self, key: str, size: int) -> None:
        """Compare an object's size: all that is left where a store's checksums say nothing.

        Raises:
            UnavailableError: when it is another.
        """
        kept = self.head(key)["ContentLength"]
        if kept != size:
            raise UnavailableError(f"The store holds {kept} bytes of {self.uri(key)}, {size} were sent.", "The store loses data.")
