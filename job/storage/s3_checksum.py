"""How what a store holds is compared with what was sent.

MD5 is S3's own transport checksum (Content-MD5, ETag), understood by every store; SHA-256 is used where the store returns it.
None of this guards against malice: manifests carry SHA-256 of every file for that.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from job.errors import UnavailableError

_MD5_ETAG = re.compile(r'"?([0-9a-f]{32}(?:-[0-9]+)?)"?')


class OtherBytesError(UnavailableError):
    """The store holds other bytes than were sent."""


@dataclass(frozen=True)
class Checksums:
    """Which checksums a store returns; the probe finds out, and until then MD5 is believed in."""

    etag_is_md5: bool = True
    sha256: bool = False


@dataclass(frozen=True)
class PartDigest:
    """Checksums of one part of an object, or of the whole of a small one."""

    md5: bytes
    sha256: bytes

    @classmethod
    def of(cls, data: bytes) -> PartDigest:
        return cls(hashlib.md5(data, usedforsecurity=False).digest(), hashlib.sha256(data).digest())

    def headers(self, known: Checksums) -> dict[str, str]:
        """The request's checksum parameters: the store compares them with what arrives."""
        headers = {"ContentMD5": base64.b64encode(self.md5).decode()}
        if known.sha256:
            headers |= {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": base64.b64encode(self.sha256).decode()}
        return headers


def expected(parts: Sequence[PartDigest], *, multipart: bool) -> tuple[str, str]:
    """(ETag, SHA-256) as S3 reports them: of the bytes, or of the parts' checksums, the ETag with their number behind a dash."""
    if not multipart:
        return parts[0].md5.hex(), base64.b64encode(parts[0].sha256).decode()
    md5 = hashlib.md5(b"".join(part.md5 for part in parts), usedforsecurity=False).hexdigest()
    sha256 = base64.b64encode(hashlib.sha256(b"".join(part.sha256 for part in parts)).digest()).decode()
    return f"{md5}-{len(parts)}", sha256


def md5_etag(reply: Mapping[str, Any], known: Checksums) -> str | None:
    """The reply's ETag, when it says something about the bytes.

    Objects encrypted with a key of KMS or of the customer have ETags that look like an MD5 and are none.
    """
    encryption = str(reply.get("ServerSideEncryption", ""))
    found = _MD5_ETAG.fullmatch(str(reply.get("ETag", "")))
    if not known.etag_is_md5 or encryption.startswith("aws:kms") or reply.get("SSECustomerAlgorithm") or not found:
        return None
    return found[1]


def confirm(
    reply: Mapping[str, Any], parts: Sequence[PartDigest], known: Checksums, subject: str, *, multipart: bool = False
) -> bool:
    """Compare a reply's checksums with ours; whether there was one to compare.

    Raises:
        OtherBytesError: when the store holds other bytes than were sent.
    """
    etag, sha256 = expected(parts, multipart=multipart)
    found_etag, found_sha256 = md5_etag(reply, known), _kept_sha256(reply, known, multipart=multipart)
    if multipart and found_etag and "-" not in found_etag:
        found_etag = None  # some stores number no parts: theirs is an ETag of another kind
    if found_etag not in {None, etag} or found_sha256 not in {None, sha256}:
        raise OtherBytesError(
            f"The store holds other bytes of {subject} than were sent.", "The network or the store corrupts data."
        )
    return found_etag is not None or found_sha256 is not None


def _kept_sha256(reply: Mapping[str, Any], known: Checksums, *, multipart: bool) -> str | None:
    """The reply's SHA-256, without the number of parts, which not all stores write behind it."""
    if not known.sha256 or (multipart and reply.get("ChecksumType") == "FULL_OBJECT"):
        return None
    return str(reply.get("ChecksumSHA256") or "").partition("-")[0] or None
