import random

import pytest

from job.errors import DeniedError, UnavailableError
from job.storage.options import StoreOptions
from job.storage.s3_bucket import Bucket
from job.storage.s3_checksum import Checksums
from tests.support.servers.scripted import Fault

AGAIN = {"Retry-After": "0"}


def keys(bucket, prefix=""):
    return [info.key for info in bucket.list(prefix)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", 503, "SlowDown", AGAIN),
        Fault("PUT", 500, "InternalError"),
        Fault("PUT", 429, "TooManyRequests"),
        Fault("PUT", 409, "ConditionalRequestConflict"),
        Fault("PUT", 400, "BadDigest"),
        Fault("PUT"),
    ],
)
def test_what_passes_is_tried_again(bucket, s3, fault):
    s3.faults += [fault]
    assert bucket.put("key", b"data", IfNoneMatch="*")
    assert s3.objects == {"key": b"data"}
    assert s3.methods() == ["PUT", "PUT"]


def test_the_global_random_generator_is_left_alone(bucket, s3):
    random.seed(3)
    before = random.getstate()
    s3.faults += [Fault("PUT", 503, "SlowDown"), Fault("PUT", 503, "SlowDown")]
    bucket.put("key", b"data")
    assert random.getstate() == before


def test_a_lost_reply_to_put_if_absent_looks_like_anothers(bucket, s3):
    """Which is why the log compares what it finds."""
    s3.faults += [Fault("PUT", done=True)]
    assert not bucket.put("key", b"data", IfNoneMatch="*")
    assert s3.objects == {"key": b"data"}


def test_denied_is_not_tried_again(bucket, s3):
    s3.faults += [Fault("PUT", 403, "AccessDenied"), Fault("GET", 403, "AccessDenied")]
    with pytest.raises(DeniedError, match="s3://bucket/key"):
        bucket.put("key", b"data")
    with pytest.raises(DeniedError):
        keys(bucket)
    assert s3.methods() == ["PUT", "GET"]


def test_time_is_bounded(s3, client):
    s3.faults += [Fault("PUT", 503, "SlowDown", {"Retry-After": "60"})]
    with pytest.raises(UnavailableError, match="503 SlowDown"):
        Bucket(client, "bucket", StoreOptions(timeout_s=1)).put("key", b"")
    assert s3.methods() == ["PUT"]


def test_listing_pages_and_leaves_out_what_stands_for_a_folder(bucket, s3):
    s3.objects |= {f"a/{number}": b"x" for number in range(5)} | {"a/": b"", "a/empty": b"", "b": b""}
    s3.faults += [Fault("GET", 503, "SlowDown")]
    assert keys(bucket, "a/") == ["a/0", "a/1", "a/2", "a/3", "a/4", "a/empty"]


def test_other_bytes_in_the_store_are_noticed(s3, client):
    s3.etags["key"] = '"' + "0" * 32 + '"'
    bucket = Bucket(client, "bucket", StoreOptions(timeout_s=0))
    with pytest.raises(UnavailableError, match="other bytes"):
        bucket.put("key", b"data")
    s3.extra_headers["x-amz-server-side-encryption"] = "aws:kms"
    assert bucket.put("key", b"data")
    assert s3.methods() == ["PUT", "PUT", "HEAD"]
    bucket.checksums = Checksums(etag_is_md5=False)
    s3.extra_headers.clear()
    assert bucket.put("key", b"data")


def test_a_size_is_compared_where_nothing_else_can_be(bucket, s3):
    s3.objects["key"] = b"12345"
    s3.etags["key"] = '"x"'
    bucket.confirm_size("key", 5)
    with pytest.raises(UnavailableError, match=r"5 bytes .* 6 were sent"):
        bucket.confirm_size("key", 6)


def test_directory_buckets_have_etags_of_another_kind(client):
    assert not Bucket(client, "name--x-s3", StoreOptions()).checksums.etag_is_md5


def test_every_put_carries_its_checksum(bucket, s3):
    bucket.put("key", b"data")
    assert s3.requests[0].headers["content-md5"] == "jXd/OF09/siBXSD3SWAm3A=="
    assert "x-amz-trailer" not in s3.requests[0].headers
    bucket.checksums = Checksums(sha256=True)
    bucket.put("key", b"data")
    assert s3.requests[1].headers["x-amz-checksum-sha256"] == "Om6weQ85rIfJTzhWst0sXREOaBFgImGpqSPTuyOtyLc="
