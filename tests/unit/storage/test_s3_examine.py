import pytest

from job.errors import UnavailableError
from job.storage.options import StoreOptions
from job.storage.s3_bucket import Bucket
from job.storage.s3_checksum import Checksums
from job.storage.s3_examine import abort, examine
from tests.support.servers.scripted import Fault


def found(bucket):
    return {finding.capability: finding for finding in examine(bucket, "run/probe-1/")}


def test_what_a_store_without_checksums_of_its_own_has(bucket, s3):
    findings = found(bucket)
    assert bucket.checksums == Checksums(etag_is_md5=True, sha256=False)
    assert [name for name, finding in findings.items() if not finding.ok] == ["comparing checksums", "listing of multipart uploads"]
    assert s3.uploads == {}


def test_sha256_is_used_where_it_is_returned(bucket, s3):
    s3.extra_headers["x-amz-checksum-sha256"] = "81NM7tI+tl8QVyTqaAxlHm1f3jxuhqtAaYjJk7FFdXo="
    list(examine(bucket, ""))
    assert not bucket.checksums.sha256  # it returns the same for everything
    sent = {}
    put = s3._put

    def keep(request):
        status, headers, body = put(request)
        sent.update({"x": request.headers.get("x-amz-checksum-sha256")})
        s3.extra_headers["x-amz-checksum-sha256"] = sent["x"] or "none"
        return status, headers, body

    s3._put = keep
    try:
        next(examine(bucket, ""))
    finally:
        del s3._put
    assert bucket.checksums.sha256


def test_a_store_whose_etags_are_no_md5(bucket, s3):
    s3.etags["p/md5"] = '"opaque"'
    findings = found(bucket)
    assert findings["checksums"].ok
    s3.reset()
    s3.etags["run/probe-1/md5"] = '"opaque"'
    findings = found(bucket)
    assert not bucket.checksums.etag_is_md5
    assert "only sizes" in findings["checksums"].detail
    assert not findings["checksums"].required


def test_what_is_refused_is_named(bucket, s3):
    s3.faults += [Fault("POST", 403, "AccessDenied")] * 3
    findings = found(bucket)
    assert findings["multipart upload"].is_denied
    assert findings["multipart upload"].required
    assert not findings["listing of multipart uploads"].required


def test_no_answer_is_no_finding(s3, client):
    s3.faults += [Fault("PUT", 503, "SlowDown")] * 9
    with pytest.raises(UnavailableError):
        found(Bucket(client, "bucket", StoreOptions(timeout_s=0)))


def test_aborting_what_has_ended_is_no_error(bucket, s3):
    s3.faults += [Fault("DELETE", 404, "NoSuchUpload")]
    abort(bucket, "key", "gone")
