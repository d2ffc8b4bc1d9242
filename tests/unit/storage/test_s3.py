import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.exceptions import CredentialRetrievalError

from job.errors import DeniedError, SettingsError
from job.storage.base import abort_uploads
from job.storage.options import StoreOptions
from job.storage.s3 import _session, connect, open_s3
from job.storage.uri import parse
from tests.support.servers.scripted import Fault
from tests.unit.storage.conftest import QUICK


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
    assert abort_uploads(store, "") == 2
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


@pytest.fixture
def keys_file(monkeypatch, tmp_path, s3):
    """Write new keys where boto3 reads them; the server's address is in the environment."""
    for name, value in s3.endpoint.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    return lambda key: path.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")


@pytest.mark.parametrize(("status", "code"), [(400, "ExpiredToken"), (403, "InvalidAccessKeyId")])
def test_keys_that_are_replaced_during_a_run_are_read_again(s3, keys_file, status, code, tmp_path):
    keys_file("OLD")
    store = open_s3(parse("s3://bucket/run"), QUICK)
    store.write_bytes("a", b"1")
    keys_file("NEW")
    s3.faults += [Fault("PUT", status, code)]
    (tmp_path / "file").write_bytes(b"x" * 1025)
    store.write_file("b", tmp_path / "file")
    assert store.read_bytes("a") == b"1"
    users = [request.headers["authorization"].split("Credential=")[1].partition("/")[0] for request in s3.requests]
    assert users[:2] == ["OLD", "OLD"]  # the second begins the upload in parts
    assert set(users[-4:]) == {"NEW"}
    s3.faults += [Fault("PUT", status, code)] * 2
    with pytest.raises(DeniedError, match=code):
        store.write_bytes("c", b"2")


def test_a_service_of_credentials_that_fails_at_the_start_is_asked_again(monkeypatch):
    session, failures = boto3.Session, [CredentialRetrievalError(provider="container-role", error_msg="timeout")]

    def hiccup(**options):
        if failures:
            raise failures.pop()
        return session(**options)

    monkeypatch.setattr(boto3, "Session", hiccup)
    assert connect(QUICK, "s3://bucket").meta.config


def test_the_metadata_service_is_asked_more_than_once(monkeypatch):
    assert _session()._session.get_config_variable("metadata_service_num_attempts") == 4
    monkeypatch.setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "9")
    assert _session()._session.get_config_variable("metadata_service_num_attempts") == 9


class Metadata(BaseHTTPRequestHandler):
    """The metadata service of an instance, busy at the first three questions."""

    role = json.dumps({"AccessKeyId": "ROLE", "SecretAccessKey": "s", "Token": "t", "Expiration": "2999-01-01T00:00:00Z"})

    def do_PUT(self):
        self.answer(200, "token")

    def do_GET(self):
        self.server.asked.append(self.path)
        is_role = self.path.endswith("/role")
        self.answer(200 if len(self.server.asked) > 3 else 503, self.role if is_role else "role")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Quiet."""


def test_an_instance_role_survives_a_busy_metadata_service(monkeypatch, s3, keys_file):
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        try:
            open_s3(parse("s3://bucket/run"), QUICK).write_bytes("a", b"1")
        finally:
            server.shutdown()
            thread.join()
    assert "Credential=ROLE/" in s3.requests[0].headers["authorization"]
