import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError, MetadataRetrievalError

from job.errors import DeniedError, SettingsError, UnavailableError
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


def test_a_hiccup_of_the_credentials_is_tried_again_but_not_for_ever(bucket):
    failures = [CredentialRetrievalError(provider="role", error_msg="timeout")]

    def action(_):
        if failures:
            raise failures.pop()
        return "done"

    assert bucket.request(action, "key") == "done"
    failures += [MetadataRetrievalError(error_msg="timeout")] * 9
    bucket.options = StoreOptions(timeout_s=0)
    with pytest.raises(DeniedError, match="could not be fetched"):
        bucket.request(action, "key")
    assert len(failures) == 8


class Keys:
    """Clients by the number of the keys they were made with; the store takes those that ``valid`` names."""

    def __init__(self, valid):
        self.valid, self.made, self.asked = valid, 0, []
        self.all_asked = threading.Barrier(4)

    def connect(self):
        self.made += 1
        return self.made

    def action(self, client):
        self.asked.append(client)
        if client == 0 and self.valid:
            self.all_asked.wait(timeout=10)
        if client not in self.valid:
            response = {"Error": {"Code": "ExpiredToken"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(response, "PutObject")
        return client


def test_expired_keys_are_read_again_once_for_all_threads():
    keys = Keys({1})
    bucket = Bucket(0, "bucket", StoreOptions(timeout_s=0), keys.connect)
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda _: bucket.request(keys.action, "key"), range(4))] == [1] * 4
    assert (keys.made, sorted(keys.asked)) == (1, [0] * 4 + [1] * 4)


def test_keys_that_stay_expired_are_denied():
    keys = Keys(set())
    with pytest.raises(DeniedError, match="ExpiredToken"):
        Bucket(0, "bucket", StoreOptions(timeout_s=5), keys.connect).request(keys.action, "key")
    assert keys.asked == [0, 1]

    def unreadable():
        raise SettingsError("half a file")

    for connect in (None, unreadable):
        with pytest.raises(DeniedError, match="ExpiredToken"):
            Bucket(0, "bucket", StoreOptions(timeout_s=5), connect).request(keys.action, "key")
    assert keys.asked == [0, 1, 0, 0]
