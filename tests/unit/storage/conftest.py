"""The S3 client against a small server in this process that fails on command."""

from collections.abc import Iterator

import pytest

from job.storage.options import StoreOptions
from job.storage.s3 import S3Store, connect
from job.storage.s3_bucket import Bucket
from tests.support.servers.scripted import ScriptedS3, scripted_s3

QUICK = StoreOptions(timeout_s=5.0, backoff_s=0.001, single_put_bytes=1024, part_bytes=1024, num_threads=2)


@pytest.fixture(scope="session")
def running_s3() -> Iterator[ScriptedS3]:
    with scripted_s3() as server:
        yield server


@pytest.fixture(scope="session")
def client(running_s3):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_s3.endpoint.environment().items():
            patch.setenv(name, value)
        made = connect(QUICK, "s3://bucket")
    yield made
    made.close()


@pytest.fixture
def s3(running_s3) -> ScriptedS3:
    """The server, emptied."""
    running_s3.reset()
    return running_s3


@pytest.fixture
def bucket(s3, client) -> Bucket:
    return Bucket(client, "bucket", QUICK)


@pytest.fixture
def store(bucket) -> S3Store:
    return S3Store(bucket, "run/")
