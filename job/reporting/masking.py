"""Secrets out of everything that is written: values known to be secret, and what looks like one.

Values are replaced wherever they occur; the patterns catch what nobody told us about, such as a token in an error message of a
library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MASK = "**********"
MIN_SECRET_LENGTH = 4
"""Shorter values are not replaced: they would blot out ordinary text, and protect nothing."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), MASK),
    # AWS access keys: four letters for the kind, sixteen for the key.
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"(?i)\b(AWS_(?:SECRET_ACCESS_KEY|SESSION_TOKEN)|HF_TOKEN|HUGGING_FACE_HUB_TOKEN)(\s*[=:]\s*)\S+"), rf"\1\2{MASK}"),
    (
        re.compile(r"(?i)\b((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?(?:bearer|basic|aws4-hmac-sha256)\s+)[^\s'\"]+"),
        rf"\1{MASK}",
    ),
    # user:password@ in a URL, up to the last @ before the path.
    (re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@'\"]+(?:@[^\s/@'\"]*)*@", re.IGNORECASE), rf"\1{MASK}@"),
    # Signed URLs: whoever holds the signature may read.
    (
        re.compile(r"(?i)([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId|token)=)[^\s&'\"]+"),
        rf"\1{MASK}",
    ),
)


@dataclass(frozen=True)
class Masker:
    """Replaces secrets in text.

    Args:
        secrets: values that must never be seen.
    """

    secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Masker:
        """A masker for these values; the longest first, in case one holds another."""
        return cls(tuple(sorted({value for value in secrets if len(value) >= MIN_SECRET_LENGTH}, key=len, reverse=True)))

    def mask(self, text: str) -> str:
        """``text`` without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def mask_all(self, value: Any) -> Any:
        """A JSON value with every text in it masked."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict):
            return {key: self.mask_all(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_all(inner) for inner in value]
        return value
