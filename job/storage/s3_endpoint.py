"""Which addresses credentials and data may be sent to."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from job.errors import SettingsError

_METADATA_NAMES = {"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
_METADATA_ADDRESSES = {ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")}
_VARIABLES = "AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3"


def check_endpoint(url: str) -> None:
    """Accept https anywhere and http on this machine; refuse the cloud's metadata services in every spelling.

    Raises:
        SettingsError: when the endpoint is neither.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    address = _address(host)
    if parts.scheme not in {"http", "https"} or not host:
        raise SettingsError("The S3 endpoint is no http(s) URL.", f"Set {_VARIABLES} to https://host:port.")
    if parts.username or parts.password:
        raise SettingsError(
            "The S3 endpoint holds a user name or password.", f"Take it out of {_VARIABLES}; keys belong in AWS_ACCESS_KEY_ID."
        )
    if host in _METADATA_NAMES or (address is not None and (address.is_link_local or address in _METADATA_ADDRESSES)):
        raise SettingsError("The S3 endpoint is a link-local or metadata address.", f"Set {_VARIABLES} to the object store.")
    is_loopback = host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)
    if parts.scheme == "http" and not is_loopback:
        raise SettingsError(
            f"The S3 endpoint {host} is not encrypted: http is accepted on this machine only.",
            f"Set {_VARIABLES} to an https:// address; AWS_CA_BUNDLE names the certificate of a private authority.",
        )


def is_aws(url: str) -> bool:
    """Whether the endpoint is Amazon's own, where buckets are part of the host name."""
    host = urlsplit(url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that ``host`` spells, also in the short and decimal forms that the C library understands."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return getattr(address, "ipv4_mapped", None) or address
