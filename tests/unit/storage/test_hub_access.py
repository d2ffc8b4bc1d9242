from __future__ import annotations

import pytest

from job.errors import SettingsError
from job.storage.hub_access import check_endpoint, check_token


@pytest.mark.parametrize(
    "url", ["https://huggingface.co", "http://localhost:80", "http://127.0.0.1:8765", "http://[::1]:1", "http://127.9.9.9"]
)
def test_accepted(url: str) -> None:
    check_endpoint(url, offline=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://huggingface.co",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "ftp://x",
        "huggingface.co",
        "",
        "http://10.0.0.1",
    ],
)
def test_no_token_in_the_open(url: str) -> None:
    with pytest.raises(SettingsError, match="HF_ENDPOINT is not an https address"):
        check_endpoint(url, offline=False)


def test_no_credentials_in_the_address_and_none_in_the_message() -> None:
    with pytest.raises(SettingsError, match="HF_ENDPOINT holds a user name or password") as caught:
        check_endpoint("https://user:canary@huggingface.co", offline=False)
    assert "canary" not in str(caught.value)


def test_offline_mode_is_named() -> None:
    with pytest.raises(SettingsError, match="HF_HUB_OFFLINE is set"):
        check_endpoint("https://huggingface.co", offline=True)


@pytest.mark.parametrize("token", [None, "hf_abcDEF123"])
def test_a_token(token: str | None) -> None:
    check_token(token)


@pytest.mark.parametrize("token", ["hf_canary\n", "hf canary", "hf_canary\u00e9", "hf_\x00canary"])
def test_no_token(token: str) -> None:
    with pytest.raises(SettingsError, match="JOB_MODEL__HUB_TOKEN") as caught:
        check_token(token)
    assert "canary" not in str(caught.value)
