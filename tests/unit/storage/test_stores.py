import pytest

from job.errors import SettingsError
from job.storage.base import Store
from job.storage.local import LocalStore
from job.storage.s3 import S3Store
from job.storage.stores import open_store


def test_each_scheme_has_its_store(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    local = open_store(f"file://{tmp_path}")
    s3 = open_store("s3://bucket/a/b")
    assert isinstance(local, LocalStore)
    assert local.uri == f"file://{tmp_path}"
    assert isinstance(s3, S3Store)
    assert s3.uri == "s3://bucket/a/b"
    stores: list[Store] = [local, s3]
    assert len(stores) == 2


def test_a_hub_repository_is_no_store():
    with pytest.raises(SettingsError, match="Hub repository"):
        open_store("hf://org/name")
