"""S3 and everything that speaks it: AWS, Ceph, MinIO, R2, Swift.  The only module that imports boto3.

Credentials, region and endpoint are boto3's business (``AWS_*``, profile, role).  boto3's own retries and checksum trailers are
off: the first draw from Python's global random generator, the second break Ceph over https; `retry` and `s3_checksum` stand in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config

from job.errors import SettingsError
from job.storage import s3_examine
from job.storage.base import MissingObjectError, ObjectInfo, OpenUpload
from job.storage.findings import Finding
from job.storage.keys import check_key
from job.storage.options import StoreOptions
from job.storage.retry import Retries
from job.storage.s3_bucket import Bucket
from job.storage.s3_download import RangeReader, download
from job.storage.s3_endpoint import check_endpoint, is_aws
from job.storage.s3_errors import explain
from job.storage.s3_upload import upload_in_parts
from job.storage.uri import Location

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


_METADATA_VARIABLE, _METADATA_ATTEMPTS = "metadata_service_num_attempts", 4


def connect(options: StoreOptions, subject: str) -> S3Client:
    """A client whose endpoint is allowed (`check_endpoint`); ``subject`` is for messages.

    Raises:
        SettingsError: for an endpoint, region or profile that cannot be used.
        DeniedError: when the service that hands out the credentials does not answer in time.
    """
    # The credentials of a pod's role are fetched here already, and that may fail as any request may.
    client: S3Client = Retries(options.timeout_s, options.backoff_s).call(
        partial(_connect_once, options, subject), partial(explain, subject=subject)
    )
    return client


def _connect_once(options: StoreOptions, subject: str) -> S3Client:
    try:
        session = _session()
        client = session.client("s3", config=_config(options))
        check_endpoint(client.meta.endpoint_url)
        # A store of one's own rarely has a host name for every bucket.  What an AWS profile says about it goes first.
        chosen = (getattr(client.meta.config, "s3", None) or {}).get("addressing_style")
        if chosen or is_aws(client.meta.endpoint_url):
            return client
        client.close()
        return session.client("s3", config=_config(options).merge(Config(s3={"addressing_style": "path"})))
    except ValueError as error:
        raise SettingsError(
            f"boto3 cannot be configured for {subject} ({type(error).__name__}).",
            "Check AWS_ENDPOINT_URL (https://host:port), AWS_REGION and the AWS profile.",
        ) from error


def _session() -> boto3.Session:
    """A session of its own: boto3's default one remembers the first credentials it saw, and is not safe among threads."""
    session = botocore.session.get_session()
    # boto3 asks an instance's metadata service once, and takes silence for "no credentials".
    wanted = max(_METADATA_ATTEMPTS, int(session.get_config_variable(_METADATA_VARIABLE) or 1))
    session.set_config_variable(_METADATA_VARIABLE, wanted)
    return boto3.Session(botocore_session=session)


def _config(options: StoreOptions) -> Config:
    return Config(
        connect_timeout=min(options.connect_timeout_s, options.timeout_s),
        read_timeout=min(options.read_timeout_s, options.timeout_s),
        max_pool_connections=2 * options.num_threads + 8,
        tcp_keepalive=True,
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


@dataclass(frozen=True)
class S3Store:
    """Objects of ``bucket`` below ``root``, which is empty or ends with a slash; safe to use from several threads."""

    bucket: Bucket
    root: str

    @property
    def uri(self) -> str:
        return self.bucket.uri(self.root).rstrip("/")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        for found in self.bucket.list(self.root + prefix):
            yield ObjectInfo(found.key.removeprefix(self.root), found.size_bytes)

    def read_bytes(self, key: str) -> bytes:
        return RangeReader(self.bucket, self.root + check_key(key)).read_all()

    def read_file(self, key: str, path: Path) -> None:
        download(RangeReader(self.bucket, self.root + check_key(key)), path)

    def write_file(self, key: str, path: Path) -> None:
        if path.stat().st_size <= self.bucket.options.single_put_bytes:
            self.write_bytes(key, path.read_bytes())
        else:
            upload_in_parts(self.bucket, self.root + check_key(key), path)

    def write_bytes(self, key: str, data: bytes) -> None:
        self.bucket.put(self.root + check_key(key), data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Create a small object; False when the key exists, which our own request whose reply was lost also makes it say."""
        return self.bucket.put(self.root + check_key(key), data, IfNoneMatch="*")

    def delete(self, key: str) -> None:
        full = self.root + check_key(key)
        try:
            self.bucket.request(methodcaller("delete_object", Bucket=self.bucket.name, Key=full), full)
        except MissingObjectError:
            return  # some stores say so, AWS does not: either way it is gone

    def open_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        for key, upload_id in self.bucket.list_uploads(self.root + prefix):
            yield OpenUpload(key.removeprefix(self.root), partial(s3_examine.abort, self.bucket, key, upload_id))

    def examine(self, prefix: str) -> Iterator[Finding]:
        """What this store can do beyond the protocol, for the probe; sets which checksums are used from now on."""
        return s3_examine.examine(self.bucket, self.root + prefix)


def open_s3(location: Location, options: StoreOptions) -> S3Store:
    """A store at ``location``; no request is sent yet.  Raises `SettingsError`."""
    again = partial(connect, options, location.uri)
    return S3Store(Bucket(again(), location.bucket, options, again), f"{location.path}/" if location.path else "")
