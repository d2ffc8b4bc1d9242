import random
import resource

import pytest

from job.errors import DataError, LocalIOError, UnavailableError
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


def test_a_disk_that_refuses_is_said(reader, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # For no longer than the download: pytest's own output may go to a file.
    resource.setrlimit(resource.RLIMIT_FSIZE, (PART + 500, before[1]))
    try:
        with pytest.raises(LocalIOError, match="File too large"):
            download(reader("large"), tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def flipped(s3, monkeypatch, starts):
    """One bit of each range that begins at one of ``starts`` is another, once for each time it is named."""
    left, answer = [*starts], s3.answer

    def damaged(request):
        status, headers, body = answer(request)
        start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if request.method == "GET" and "list-type" not in request.query and start in left:
            left.remove(start)
            body = bytes([body[0] ^ 1]) + body[1:]
        return status, headers, body

    monkeypatch.setattr(s3, "answer", damaged)


def test_a_damaged_range_is_read_again(reader, s3, tmp_path, monkeypatch, caplog):
    flipped(s3, monkeypatch, [PART, 2 * PART])
    download(reader("large"), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == LARGE
    assert "other bytes than its checksum" in caplog.text
    assert len(s3.requests) == 8
    s3.requests.clear()
    flipped(s3, monkeypatch, [0])
    download(reader("large"), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == LARGE
    assert len(s3.requests) == 8


def test_ranges_that_stay_damaged_are_said(bucket, reader, s3, tmp_path):
    s3.objects["large"] = LARGE[:PART] + b"?" + LARGE[PART + 1 :]
    with pytest.raises(UnavailableError, match="3 times with other bytes"):
        download(reader("large"), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    for etag, encryption in ((s3.etags["large"], "aws:kms"), (f'"{"1" * 32}-4"', "")):  # of another kind
        s3.etags["large"] = etag
        s3.extra_headers["x-amz-server-side-encryption"] = encryption
        download(reader("large"), tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == s3.objects["large"]
