import json

import pytest

from job.errors import SettingsError
from job.storage.options import StoreOptions
from job.storage.s3 import connect, open_s3
from job.storage.uri import parse
from tests.support.servers.scripted import Fault


def test_keys_lie_below_the_root(store, s3):
    store.write_bytes("a", b"1")
    assert store.put_if_absent("b", b"2")
    assert s3.objects == {"run/a": b"1", "run/b": b"2"}
    s3.objects["running/c"] = b""
    assert [info.key for info in store.list("")] == ["a", "b"]
    assert store.read_bytes("a") == b"1"
    assert store.uri == "s3://bucket/run"


def test_small_files_take_one_request_and_large_ones_several(store, s3, tmp_path):
    for size, methods in ((1024, ["PUT"]), (1025, ["POST", "PUT", "PUT", "POST", "HEAD", "HEAD"])):
        s3.reset()
        (tmp_path / "file").write_bytes(b"x" * size)
        store.write_file("file", tmp_path / "file")
        assert s3.methods() == methods
        store.read_file("file", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"x" * size


def test_deleting_what_a_store_says_is_not_there(store, s3):
    s3.faults += [Fault("DELETE", 404, "NoSuchKey")]
    store.delete("x")


def test_interrupted_uploads_are_aborted(store, s3):
    s3.uploads |= {"one": {}, "two": {}}
    s3.faults += [Fault("DELETE", 404, "NoSuchUpload")]
    assert store.abort_uploads("") == 2
    assert len(s3.uploads) == 1


def test_a_store_of_ones_own_has_buckets_in_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store.example.com")
    style = connect(StoreOptions(), "x").meta.config.s3
    assert style == {"addressing_style": "path"}
    (tmp_path / "config").write_text("[default]\ns3 =\n    addressing_style = virtual\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert connect(StoreOptions(), "x").meta.config.s3["addressing_style"] == "virtual"


def test_amazons_own_buckets_are_host_names_and_no_time_out_is_longer_than_the_time_allowed():
    config = connect(StoreOptions(timeout_s=2), "x").meta.config
    assert not (config.s3 or {}).get("addressing_style")
    assert (config.connect_timeout, config.read_timeout) == (2, 2)
    assert config.retries["total_max_attempts"] == 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_ENDPOINT_URL_S3", "http://store.example.com", "not encrypted"),
        ("AWS_ENDPOINT_URL", "no url", "configured"),
        ("AWS_PROFILE", "nobody", "ProfileNotFound"),
        ("AWS_REGION", "not a region", "InvalidRegionError"),
    ],
)
def test_wrong_settings_of_boto3(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    if name == "AWS_REGION":
        monkeypatch.setenv("AWS_DEFAULT_REGION", value)
    with pytest.raises(SettingsError, match=words):
        open_s3(parse("s3://bucket/x"), StoreOptions())


def test_the_findings_are_for_the_probe(store):
    assert json.dumps([finding.capability for finding in store.examine("p/")])
