"""Places for a test to put a run: a fresh folder or prefix on each kind of store."""

from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from job.storage.base import Store
from job.storage.options import StoreOptions
from job.storage.s3_bucket import Bucket
from job.storage.stores import open_store
from tests.support.servers.processes import Endpoint

BUCKET = "test-bucket"
OPTIONS = StoreOptions(timeout_s=20.0)
S3_KINDS = ("moto", "ceph http", "ceph https", "swift")
KINDS = ("local", *S3_KINDS)


@dataclass(frozen=True)
class Place:
    """A store's URI, and how it is spoken to."""

    kind: str
    uri: str
    options: StoreOptions = OPTIONS

    def open(self) -> Store:
        return open_store(self.uri, self.options)

    @property
    def is_s3(self) -> bool:
        return self.kind != "local"


def endpoint(kind: str, request: pytest.FixtureRequest) -> Endpoint:
    """The server of that kind, started by the first who asks."""
    name, _, scheme = kind.partition(" ")
    server = request.getfixturevalue(name)
    return getattr(server, scheme) if scheme else server


def prepare(kind: str, request: pytest.FixtureRequest, folder: Path) -> Place:
    """A fresh place on a store of that kind; the environment leads boto3 there until the end of the test."""
    if kind == "local":
        return Place(kind, str(folder / "store"))
    lead_to(endpoint(kind, request), request)
    client = boto3.Session().client("s3")
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)
    client.close()
    return Place(kind, f"s3://{BUCKET}/{folder.name}-{kind.replace(' ', '-')}")


def lead_to(server: Endpoint, request: pytest.FixtureRequest) -> None:
    """Set the environment for a server."""
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


def bucket_of(store: Store) -> Bucket:
    """The bucket behind an S3 store, for tests that look beneath it."""
    return store.bucket
