"""Stores that cannot hold a run: told before any work, by what they lack, with nothing left in them."""

from __future__ import annotations

import contextlib
import subprocess

import pytest

from job.storage.stores import open_store
from tests.support import parts, starts
from tests.support.servers import places
from tests.support.servers.processes import free_ports
from tests.support.starts import CANARY, Answer, bench

__all__ = ["bench"]

S3 = f"s3://{places.BUCKET}/bad"
SHORT = {"JOB_LIMITS__STORE_TIMEOUT_S": "1"}
# fmt: off
FOLDERS: dict[str, tuple[str, int, str, str]] = {
    # name: (JOB_OUTPUT__URI, code, what the message says, what the hint names)
    "a file": ("{folder}/train.csv", 64, "train.csv is a file, where a folder is needed", "Name the folder that holds it"),
    "below a file": ("file://{folder}/train.csv/below", 64, "cannot hold this run. writing: .*train.csv: File exists", "JOB_OUTPUT__URI"),
    "a name that looks like the Hub's": ("never/made", 64, "never/made is a Hub repository, where a store is needed", "./folder"),
    "a host": ("file://server/folder", 64, "names a host", "three slashes"),
    "home": ("~/runs", 64, "begins with ~", "Write the path in full"),
    "no bucket": ("s3:///x", 64, "no valid bucket name", "s3://bucket/prefix"),
    "a prefix that leads out": ("s3://bucket/a/../b", 64, "'..'", "s3://bucket/prefix"),
}
ENDPOINTS: dict[str, tuple[dict[str, str], int, str, str]] = {
    # name: (variables, code, what the message says, what the hint names)
    "nobody listens": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:{port}"}, 69, r"did not answer .*\(EndpointConnectionError\)", "JOB_LIMITS__STORE_TIMEOUT_S"),
    "not encrypted": ({"AWS_ENDPOINT_URL": "http://203.0.113.7:9000"}, 64, "203.0.113.7 is not encrypted", "https://"),
    "the metadata service": ({"AWS_ENDPOINT_URL": "http://169.254.169.254"}, 64, "link-local or metadata address", "AWS_ENDPOINT_URL"),
    "the metadata service, spelled otherwise": ({"AWS_ENDPOINT_URL": "http://0xa9fea9fe/latest"}, 64, "link-local or metadata address", "AWS_ENDPOINT_URL"),
    "keys in the address": ({"AWS_ENDPOINT_URL": f"https://key:{CANARY}@127.0.0.1:9"}, 64, "holds a user name or password", "AWS_ACCESS_KEY_ID"),
    "no address": ({"AWS_ENDPOINT_URL": "127.0.0.1:9000"}, 64, "boto3 cannot be configured", "AWS_ENDPOINT_URL"),
    "no keys": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL": "http://127.0.0.1:{port}"}, 77, "There are no usable credentials", "AWS_ACCESS_KEY_ID"),
    "a profile that is not there": ({"AWS_PROFILE": CANARY}, 64, "boto3 cannot be configured", "AWS profile"),
}
CEPH: dict[str, tuple[dict[str, str], str, int, str, str]] = {
    # name: (variables over the right ones, JOB_OUTPUT__URI, code, what the message says, what the hint names)
    "no such bucket": ({}, "s3://never-made/bad", 64, r"refused .*\(404 NoSuchBucket\)", "bucket's name"),
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": CANARY}, S3, 77, r"listing: .*denied.*\(403 SignatureDoesNotMatch\)", "they need to list, get, put and delete"),
    "unknown key": ({"AWS_ACCESS_KEY_ID": "AKIA1234567890ABCDEF"}, S3, 77, r"\(403 InvalidAccessKeyId\)", "JOB_OUTPUT__URI"),
}
# fmt: on


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_cannot_hold_a_run(bench, capfd, name):
    uri, code, says, remedy = FOLDERS[name]
    before = (bench.folder / "train.csv").read_bytes()
    ended = starts.in_process(bench.environ({"JOB_OUTPUT__URI": uri}), capfd)
    starts.check_answer(ended, Answer(code, says, remedy))
    starts.check_run_dir(ended, bench.run_dir)
    assert (bench.folder / "train.csv").read_bytes() == before
    assert not bench.store.exists()
    assert ended.seconds < 1


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_address_that_is_no_store(bench, capfd, monkeypatch, name):
    variables, code, says, remedy = ENDPOINTS[name]
    port = str(free_ports(1))
    aws = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": CANARY, "AWS_REGION": "us-east-1", **variables}
    for variable, value in aws.items():
        monkeypatch.setenv(variable, value.replace("{port}", port))
    ended = starts.in_process(bench.environ({"JOB_OUTPUT__URI": S3, **SHORT, **aws}), capfd)
    starts.check_answer(ended, Answer(code, says, remedy))
    starts.check_run_dir(ended, bench.run_dir)
    assert ended.seconds < 4


def test_nobody_listens_to_the_process(bench, tmp_path):
    aws = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_ports(1)}", "AWS_ACCESS_KEY_ID": "key", "AWS_REGION": "us-east-1"}
    ended = starts.as_process(bench.environ({"JOB_OUTPUT__URI": S3, **SHORT, **aws}), tmp_path)
    starts.check_answer(ended, Answer(69, "did not answer", "JOB_LIMITS__STORE_TIMEOUT_S"))
    starts.check_run_dir(ended, bench.run_dir)


@pytest.mark.parametrize("name", CEPH)
def test_a_store_that_refuses(bench, capfd, request, monkeypatch, name):
    place = places.prepare("ceph http", request, bench.folder)
    variables, uri, code, says, remedy = CEPH[name]
    with monkeypatch.context() as wrong:
        for variable, value in variables.items():
            wrong.setenv(variable, value)
        ended = starts.in_process(bench.environ({"JOB_OUTPUT__URI": uri, **variables}), capfd)
    starts.check_answer(ended, Answer(code, says, remedy))
    starts.check_run_dir(ended, bench.run_dir)
    assert starts.check_store(place.open()) == []


def test_a_store_whose_put_if_absent_is_none(bench, capfd, request):
    """Refused without leaving anything.  The race in it is not lost every time: of a few starts at least one has to see it."""
    place = places.prepare("swift", request, bench.folder)
    (bench.folder / "model" / "config.json").unlink()
    for number in range(5):
        environ = bench.environ({"JOB_OUTPUT__URI": f"{place.uri}/{number}"})
        ended = starts.in_process(environ, capfd)
        if ended.failure["stage"] == "start":
            break
    starts.check_answer(ended, Answer(64, "put-if-absent", "JOB_OUTPUT__FENCE=off"))
    starts.check_run_dir(ended, bench.run_dir)
    assert list(open_store(f"{place.uri}/{number}").list("")) == []
    ended = starts.in_process({**environ, "JOB_OUTPUT__FENCE": "off"}, capfd)
    starts.check_answer(ended, Answer(64, "JOB_MODEL__URI holds no config.json", "JOB_MODEL__URI"))
    assert starts.check_store(open_store(f"{place.uri}/{number}")) == ["started", "failed"]


def test_inputs_in_a_bucket_that_is_not_there(bench, capfd, request):
    places.prepare("moto", request, bench.folder)
    ended = starts.in_process(bench.environ({"JOB_MODEL__URI": "s3://never-made/model"}), capfd)
    starts.check_answer(ended, Answer(64, "JOB_MODEL__URI: .*NoSuchBucket", "bucket's name"))
    assert starts.check_store(open_store(str(bench.store))) == ["started", "failed"]


def test_data_that_is_not_in_the_bucket(bench, capfd, request):
    place = places.prepare("moto", request, bench.folder)
    ended = starts.in_process(bench.environ({"JOB_DATA__TRAIN_URI": f"{place.uri}/none/*.csv"}), capfd)
    starts.check_answer(ended, Answer(65, "JOB_DATA__TRAIN_URI: There is no file at s3://", "Check the location"))
    assert starts.check_store(open_store(str(bench.store))) == ["started", "failed"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for a log and no more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False)
    parts.need("mounting a file system", there=mounted.returncode == 0)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_store_on_a_full_disk(bench, capfd, small_disk):
    """The disk may have room again at the next try: 74, not a wrong setting."""
    _fill(small_disk)
    ended = starts.in_process(bench.environ({"JOB_OUTPUT__URI": str(small_disk)}), capfd)
    starts.check_answer(ended, Answer(74, "No space left on device", "Free space"))
    starts.check_run_dir(ended, bench.run_dir)
    assert not starts.temporary_names(small_disk)


@pytest.mark.parametrize(("least", "says"), [("1", "has 0 bytes free, and 1 are needed"), ("0", "No space left on device")])
def test_a_run_directory_on_a_full_disk(bench, capfd, small_disk, least, says):
    """No room even for the record: the words and the code are all there is."""
    _fill(small_disk)
    ended = starts.in_process(bench.environ({"JOB_RUN__DIR": str(small_disk), "JOB_LIMITS__MIN_FREE_BYTES": least}), capfd)
    starts.check_answer(ended, Answer(74, says, "JOB_RUN__DIR"))
    assert not starts.temporary_names(small_disk)


def _fill(folder):
    with contextlib.suppress(OSError), (folder / "fills").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
