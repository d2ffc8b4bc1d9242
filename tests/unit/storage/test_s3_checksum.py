import base64
import hashlib

import pytest

from job.storage.s3_checksum import Checksums, OtherBytesError, PartDigest, confirm, expected, md5_etag

ABC, OTHER = PartDigest.of(b"abc"), PartDigest.of(b"other")
MD5 = hashlib.md5(b"abc").hexdigest()
SHA256 = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()
BOTH = Checksums(sha256=True)


def etag(value):
    return {"ETag": f'"{value}"'}


def test_headers():
    assert ABC.headers(Checksums()) == {"ContentMD5": base64.b64encode(bytes.fromhex(MD5)).decode()}
    assert ABC.headers(BOTH)["ChecksumSHA256"] == SHA256


def test_of_parts_as_s3_has_it():
    md5, sha256 = expected([ABC, OTHER], multipart=True)
    assert md5 == hashlib.md5(ABC.md5 + OTHER.md5).hexdigest() + "-2"
    assert sha256 == base64.b64encode(hashlib.sha256(ABC.sha256 + OTHER.sha256).digest()).decode()


def test_what_agrees_and_what_does_not():
    assert confirm(etag(MD5), [ABC], Checksums(), "x")
    assert confirm(etag(MD5) | {"ChecksumSHA256": SHA256}, [ABC], BOTH, "x")
    for reply in (etag(MD5), etag(MD5) | {"ChecksumSHA256": SHA256}):
        with pytest.raises(OtherBytesError):
            confirm(reply, [OTHER], BOTH, "x")
    with pytest.raises(OtherBytesError):
        confirm(etag("opaque") | {"ChecksumSHA256": SHA256}, [OTHER], BOTH, "x")


@pytest.mark.parametrize(
    "reply",
    [
        etag("opaque"),
        etag(MD5) | {"ServerSideEncryption": "aws:kms"},
        etag(MD5) | {"ServerSideEncryption": "aws:kms:dsse"},
        etag(MD5) | {"SSECustomerAlgorithm": "AES256"},
        {},
    ],
)
def test_an_etag_that_is_no_md5_says_nothing(reply):
    assert md5_etag(reply, Checksums()) is None
    assert not confirm(reply, [OTHER], Checksums(), "x")


def test_an_etag_that_is_one():
    assert md5_etag(etag(MD5) | {"ServerSideEncryption": "AES256"}, Checksums()) == MD5
    assert md5_etag(etag(MD5), Checksums(etag_is_md5=False)) is None


def test_parts():
    md5, sha256 = expected([ABC, OTHER], multipart=True)
    assert confirm(etag(md5), [ABC, OTHER], Checksums(), "x", multipart=True)
    for value in (sha256, f"{sha256}-2"):
        assert confirm({"ChecksumSHA256": value}, [ABC, OTHER], BOTH, "x", multipart=True)
    with pytest.raises(OtherBytesError):
        confirm(etag(md5), [OTHER, ABC], Checksums(), "x", multipart=True)
    # other kinds of checksum of the whole say nothing about ours
    assert not confirm(etag(MD5), [ABC, OTHER], Checksums(), "x", multipart=True)
    assert not confirm({"ChecksumSHA256": SHA256, "ChecksumType": "FULL_OBJECT"}, [ABC, OTHER], BOTH, "x", multipart=True)
