"""The whole job with model, data and output in a real Ceph: what comes to lie there, and that no secret does.

The undisturbed run speaks https; the other one speaks http, is stopped after its first commit, loses its run directory and
continues.  Both read the same inputs and write below prefixes of their own in one bucket.
"""

import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest

from job.cluster import launch
from tests.support import jobs, recipes, tiny

BUCKET = "job-bucket"
NAME = "tiny"
HUB_TOKEN = "hf_canaryOfTheS3Run"
STEPS = {"TRAIN__MAX_STEPS": "160", "CHECKPOINT__EVERY_STEPS": "20", "EVAL__EVERY_STEPS": "80", "PARALLEL__THREADS_PER_WORKER": "1"}
OTHERS_UPLOAD = "interrupted/another-run/attempts/x/model.safetensors"
PART = b"part" * (5 << 18)


@pytest.fixture(scope="module")
def client(ceph):
    options = {"aws_access_key_id": ceph.http.key, "aws_secret_access_key": ceph.http.secret, "region_name": "us-east-1"}
    client = boto3.Session().client("s3", endpoint_url=ceph.http.url, **options)
    yield client
    client.close()


@pytest.fixture(scope="module")
def bucket(client, tmp_path_factory):
    """The bucket with the inputs; the number of its objects before any run."""
    folder = tmp_path_factory.mktemp("inputs")
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "data/train.csv", tiny.sentences(300))
    tiny.write_csv(folder / "data/test.csv", tiny.sentences(60, seed=7))
    client.create_bucket(Bucket=BUCKET)
    for path, content in recipes.contents(folder).items():
        client.put_object(Bucket=BUCKET, Key=f"inputs/{path}", Body=content)
    return set(keys(client))


def environ(server, folder, prefix):
    """Places in the store; credentials in ``AWS_*`` variables and nowhere else."""
    places = {
        "RUN__DIR": str(folder / "runs"),
        "MODEL__URI": f"s3://{BUCKET}/inputs/model",
        "MODEL__HUB_TOKEN": HUB_TOKEN,
        "DATA__TRAIN_URI": f"s3://{BUCKET}/inputs/data/train.csv",
        "DATA__TEST_URI": f"s3://{BUCKET}/inputs/data/test.*",
        "OUTPUT__URI": f"s3://{BUCKET}/{prefix}",
    }
    return tiny.environ(folder, **places, **STEPS) | server.environment() | {"HF_TOKEN": HUB_TOKEN}


@pytest.fixture(scope="module")
def undisturbed(ceph, bucket, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    ended = jobs.run(environ(ceph.https, folder, "undisturbed"), folder / "log")
    assert ended.code == 0, ended.output
    return folder


@pytest.fixture(scope="module")
def interrupted(ceph, bucket, client, tmp_path_factory):
    """A run that is stopped after its first commit and continued on another machine, where its disk is not."""
    folder = tmp_path_factory.mktemp("interrupted")
    variables = environ(ceph.http, folder, "interrupted")
    process = jobs.start(variables, folder / "first-log", cold=True)  # a fork's /proc/PID/environ is not its own
    jobs.wait_for(lambda: "committed" in kinds(client, "interrupted"), process)
    workers = [Path(f"/proc/{pid}/environ").read_bytes() for pid in launch.workers_of(folder / "runs" / NAME)]
    process.send_signal(signal.SIGTERM)
    code = process.wait(120)
    logs = "".join(path.read_text(errors="replace") for path in (folder / "runs").rglob("*.log"))
    stopped = SimpleNamespace(
        code=code, entries=entries(client, "interrupted"), output=(folder / "first-log").read_text(), logs=logs
    )
    shutil.rmtree(folder / "runs")
    nonce = stopped.entries[0]["nonce"]
    begun = begin_upload(client, f"interrupted/{NAME}/attempts/{nonce}/checkpoints/step-9999999999/model.safetensors")
    begin_upload(client, OTHERS_UPLOAD)
    second = jobs.run(variables, folder / "second-log")
    return SimpleNamespace(folder=folder, workers=workers, stopped=stopped, begun=begun, second=second)


def begin_upload(client, key):
    """An upload in parts that nobody will complete."""
    upload = client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    client.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=PART)
    return key


def keys(client, prefix=""):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def content(client, key):
    return client.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def entries(client, prefix):
    return [json.loads(content(client, key)) for key in sorted(keys(client, f"{prefix}/{NAME}/log/"))]


def kinds(client, prefix):
    return [entry["kind"] for entry in entries(client, prefix)]


def weights(client, prefix):
    published = next(entry for entry in entries(client, prefix) if entry["kind"] == "published")
    return content(client, f"{prefix}/{published['fields']['manifest'].rpartition('/')[0]}/model.safetensors")


def test_over_https_it_completes(undisturbed, client):
    assert kinds(client, "undisturbed")[-2:] == ["published", "complete"]


def test_the_inputs_are_recorded_as_they_were_named(undisturbed):
    sources = json.loads((undisturbed / "runs" / NAME / "report/sources.json").read_bytes())
    assert {role: source["uri"] for role, source in sources.items()} == {
        "model": f"s3://{BUCKET}/inputs/model",
        "data/train": f"s3://{BUCKET}/inputs/data/train.csv",
        "data/test": f"s3://{BUCKET}/inputs/data/test.*",
    }


def test_a_stop_commits_and_says_75(interrupted):
    assert interrupted.stopped.code == 75, interrupted.stopped.output
    assert interrupted.stopped.entries[-1]["kind"] == "stopped"
    assert json.loads(interrupted.stopped.output.strip().splitlines()[-1])["name"] == "stopped"


def test_it_continues_without_its_disk_from_the_last_commit(interrupted):
    assert interrupted.second.code == 0, interrupted.second.output
    committed = max(entry["fields"]["step"] for entry in interrupted.stopped.entries if entry["kind"] == "committed")
    plan = json.loads((interrupted.folder / "runs" / NAME / "plan.json").read_bytes())
    assert plan["start_step"] == committed >= 20


def test_the_weights_are_those_of_the_undisturbed_run(undisturbed, interrupted, client):
    assert weights(client, "undisturbed") == weights(client, "interrupted")


def test_interrupted_uploads_of_the_run_are_aborted_and_of_no_other(interrupted, client):
    open_uploads = [upload["Key"] for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]
    assert interrupted.begun not in open_uploads
    assert open_uploads == [OTHERS_UPLOAD]


def test_workers_see_no_credentials_and_no_settings(interrupted):
    assert interrupted.workers
    for block in interrupted.workers:
        names = {entry.partition(b"=")[0].decode() for entry in block.split(b"\0") if entry}
        assert "OMP_NUM_THREADS" in names
        assert not [name for name in names if name.startswith(("AWS_", "HF_TOKEN", "JOB_"))]


def test_nothing_lies_outside_the_runs(undisturbed, interrupted, bucket, client):
    written = set(keys(client)) - bucket
    assert written
    places = {"/".join(key.split("/")[:3]) for key in written}
    assert places == {f"{prefix}/{NAME}/{below}" for prefix in ("undisturbed", "interrupted") for below in ("log", "attempts")}
    assert set(keys(client)) >= bucket


def test_of_the_checkpoints_the_newest_are_kept(undisturbed, client):
    steps = {
        key.split("/checkpoints/")[1].split("/")[0]
        for key in keys(client, f"undisturbed/{NAME}/attempts/")
        if "/checkpoints/" in key
    }
    assert {"step-0000000160", "step-0000000140"} <= steps
    assert len(steps) <= 3  # and the best


def test_no_secret_is_in_the_store_or_on_disk_or_in_the_output(undisturbed, interrupted, ceph, client):
    secrets = [ceph.http.secret.encode(), HUB_TOKEN.encode()]
    texts = {key: content(client, key) for key in keys(client)}
    for folder in (undisturbed, interrupted.folder):
        texts |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    texts["the first start's worker logs"] = interrupted.stopped.logs.encode()
    assert len(texts) > 60
    assert [name for name, text in texts.items() if any(secret in text for secret in secrets)] == []
