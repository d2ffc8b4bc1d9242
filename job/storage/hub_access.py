"""Where a Hub token may be sent, and what a token looks like: checked before the first request."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from job.errors import SettingsError


def check_endpoint(url: str, *, offline: bool) -> None:
    """Accept https anywhere and http on this machine.

    Args:
        url: huggingface_hub's endpoint.
        offline: whether its offline mode is on.

    Raises:
        SettingsError: when the Hub may not be asked there.
    """
    if offline:
        raise SettingsError("HF_HUB_OFFLINE is set, and an input lies on the Hub.", "Unset it, or give a local folder or a store.")
    endpoint = urlsplit(url)
    host = endpoint.hostname or ""
    if endpoint.username or endpoint.password:
        raise SettingsError("HF_ENDPOINT holds a user name or password.", "Take it out; a token belongs in HF_TOKEN.")
    if endpoint.scheme != "https" and not (endpoint.scheme == "http" and _is_loopback(host)):
        raise SettingsError(
            "HF_ENDPOINT is not an https address: the token and the model would travel in the open.",
            "Begin it with https://. Plain http is accepted for this machine itself only.",
        )


def check_token(token: str | None) -> None:
    """Refuse a token that cannot be sent: the library that tries would quote it in its error.

    Raises:
        SettingsError: it holds characters that no token has.
    """
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise SettingsError(
            "JOB_MODEL__HUB_TOKEN holds a space, line break or other character that no token has.", "Copy the token again."
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
