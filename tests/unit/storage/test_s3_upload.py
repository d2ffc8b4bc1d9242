import random
from dataclasses import replace

import pytest

from job.errors import DeniedError, UnavailableError
from job.storage.options import MEBIBYTE
from job.storage.s3_upload import part_size, upload_in_parts
from tests.support.servers.scripted import Fault

DATA = random.Random(1).randbytes(2 * 1024 + 3)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    return tmp_path / "file"


def test_parts_arrive_in_order_each_with_its_checksum(bucket, s3, path):
    upload_in_parts(bucket, "key", path)
    assert s3.objects == {"key": DATA}
    puts = [request for request in s3.requests if request.method == "PUT"]
    assert sorted(request.query["partNumber"] for request in puts) == ["1", "2", "3"]
    assert all("content-md5" in request.headers for request in puts)


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("POST", 503, "SlowDown")],
        [Fault("PUT"), Fault("PUT", 500, "InternalError"), Fault("PUT", done=True)],
        [Fault("HEAD", 503, "SlowDown")],
        [Fault("PUT", 404, "NoSuchUpload")],
    ],
)
def test_what_passes_does_not_fail_the_upload(bucket, s3, path, faults):
    s3.faults += faults
    upload_in_parts(bucket, "key", path)
    assert s3.objects == {"key": DATA}
    assert s3.uploads == {}
    assert s3.faults == []


def test_a_lost_reply_to_completion_is_no_failure(bucket, s3, path, monkeypatch):
    complete = s3._post

    def lose(request):
        reply = complete(request)
        if "uploadId" in request.query:
            s3.faults.append(Fault("GET"))
        return reply

    s3.faults += [Fault("POST", 503, "SlowDown"), Fault("POST", done=True)]
    monkeypatch.setattr(s3, "_post", lose)
    upload_in_parts(bucket, "key", path)
    assert s3.objects == {"key": DATA}


def test_a_failed_upload_is_aborted(bucket, s3, path):
    s3.faults += [Fault("PUT", 403, "AccessDenied")] * 3
    with pytest.raises(DeniedError):
        upload_in_parts(bucket, "key", path)
    assert (s3.objects, s3.uploads) == ({}, {})


def test_an_abort_that_fails_hides_no_error(bucket, s3, path, caplog):
    s3.faults += [Fault("PUT", 403, "AccessDenied")] * 3 + [Fault("DELETE", 403, "AccessDenied")]
    with pytest.raises(DeniedError):
        upload_in_parts(bucket, "key", path)
    assert "stays on the store until the next start" in caplog.text


def test_other_bytes_are_noticed_three_times(bucket, s3, path):
    bucket.options = replace(bucket.options, timeout_s=0)
    s3.etags["key"] = '"' + "0" * 32 + '-3"'
    with pytest.raises(UnavailableError, match="failed 3 times: The store holds other bytes"):
        upload_in_parts(bucket, "key", path)
    assert s3.uploads == {}


@pytest.mark.parametrize("size", [0, 1, 16 * MEBIBYTE * 10_000, 16 * MEBIBYTE * 10_000 + 1, 5 * 1024**4])
def test_no_file_has_more_parts_than_s3_allows(size):
    part = part_size(size, 16 * MEBIBYTE)
    assert part >= 16 * MEBIBYTE
    assert size <= part * 10_000
    assert part % MEBIBYTE == 0
