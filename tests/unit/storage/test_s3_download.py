import os
import random

import pytest

from job.errors import DataError, UnavailableError
from job.storage.base import MissingObjectError
from job.storage.options import StoreOptions
from job.storage.s3_download import RangeReader, download
from tests.support.servers.scripted import Fault

PART = 1024
"""As `conftest` has it."""
LARGE = random.Random(1).randbytes(3 * PART + 5)


@pytest.fixture
def reader(bucket, s3):
    bucket.put("large", LARGE)
    bucket.put("small", b"data")
    s3.requests.clear()
    return lambda key: RangeReader(bucket, key)


def test_small_is_one_request_and_large_is_ranges(reader, s3, tmp_path):
    assert reader("small").read_all() == b"data"
    assert len(s3.requests) == 1
    assert reader("large").read_all() == LARGE
    download(reader("large"), tmp_path / "a" / "file")
    assert (tmp_path / "a" / "file").read_bytes() == LARGE
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


@pytest.mark.parametrize("fault", [Fault("GET", 503, "SlowDown"), Fault("GET"), Fault("GET", truncate=True)])
def test_a_broken_connection_costs_one_range(reader, s3, tmp_path, fault):
    for skipped in range(3):
        s3.requests.clear()
        s3.faults += [fault] * (skipped + 1)
        download(reader("large"), tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == LARGE
        assert len(s3.requests) == 4 + skipped + (0 if fault.truncate else 1)  # the cut first reply has all that is read of it


def test_nothing_stays_of_a_download_that_failed(reader, s3, tmp_path):
    with pytest.raises(MissingObjectError):
        download(reader("nothing"), tmp_path / "file")
    s3.faults += [Fault("GET", 403, "AccessDenied", done=False)]
    with pytest.raises(Exception, match="denied"):
        download(reader("large"), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_changes_meanwhile_is_said(reader, s3):
    head = reader("large").read_head()
    s3.etags["large"] = '"' + "1" * 32 + '"'
    with pytest.raises(DataError, match="changed while it was read"):
        reader("large").read_range(PART, head)


def test_damage_on_the_way_is_noticed(bucket, reader, s3):
    s3.objects["small"] = b"DATA"
    bucket.options = StoreOptions(timeout_s=0)
    with pytest.raises(UnavailableError, match="other bytes than its checksum"):
        reader("small").read_all()
    s3.extra_headers["x-amz-server-side-encryption"] = "aws:kms"
    assert reader("small").read_all() == b"DATA"


def test_a_disk_that_refuses_is_said(reader, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device", "disk")

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(Exception, match="No space left"):
        download(reader("large"), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
