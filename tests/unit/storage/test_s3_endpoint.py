import pytest

from job.errors import SettingsError
from job.storage.s3_endpoint import check_endpoint, is_aws


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.eu-central-1.amazonaws.com",
        "https://minio.example.com:9000/base",
        "https://10.0.0.7",
        "http://127.0.0.1:7480",
        "http://localhost:9000",
        "http://s3.localhost",
        "http://[::1]:9000",
        "http://127.1:80",
    ],
)
def test_allowed(url):
    check_endpoint(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://minio.example.com:9000", "not encrypted"),
        ("http://10.0.0.7", "not encrypted"),
        ("http://127.0.0.1.example.com", "not encrypted"),
        ("http://169.254.169.254", "link-local"),
        ("https://169.254.169.254", "link-local"),
        ("https://2852039166", "link-local"),
        ("https://0xa9fea9fe/", "link-local"),
        ("https://169.254.43518", "link-local"),
        ("https://[fe80::1%25eth0]", "link-local"),
        ("https://[fd00:ec2::254]", "link-local"),
        ("https://[::ffff:169.254.169.254]", "link-local"),
        ("https://metadata.google.internal.", "link-local"),
        ("https://100.100.100.200", "link-local"),
        ("ftp://host", "no http"),
        ("https://", "no http"),
        ("https://user:secret@host", "user name or password"),
    ],
)
def test_refused(url, words):
    with pytest.raises(SettingsError, match=words) as caught:
        check_endpoint(url)
    assert "AWS_ENDPOINT_URL" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_amazons_own():
    assert is_aws("https://s3.amazonaws.com")
    assert is_aws("https://s3.cn-north-1.amazonaws.com.cn")
    assert not is_aws("https://s3.amazonaws.com.example.com")
