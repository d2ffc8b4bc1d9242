"""The pod of `job submit kubernetes`, run by podman against a real store: stopped, gone with its node, continued by the next pod."""

import json
import os
import signal
import time
import uuid

import boto3
import pytest
import yaml

from job.submit import request, send
from tests.support import kube_pod, manifests, tiny
from tests.support.submissions import written

BUCKET, RUN = "pod-bucket", "tiny"
COMMITTED = f"runs/{RUN}/log/"
LINES = {
    "JOB_RUN__NAME": RUN,
    "JOB_MODEL__URI": f"s3://{BUCKET}/model",
    "JOB_DATA__TRAIN_URI": f"s3://{BUCKET}/data/train.csv",
    "JOB_OUTPUT__URI": f"s3://{BUCKET}/runs",
    "JOB_TRAIN__MAX_STEPS": "600",
    "JOB_CHECKPOINT__EVERY_STEPS": "50",
    "JOB_EVAL__EVERY_STEPS": "200",
    "JOB_PARALLEL__THREADS_PER_WORKER": "1",
    "JOB_PARALLEL__ENGINE": "single",
    "AWS_REGION": "us-east-1",
    "SUBMIT_GPUS": "0",
    "SUBMIT_CPUS": "2",
    "SUBMIT_MEMORY_GIB": "4",
    "SUBMIT_DISK_GIB": "1",
}


@pytest.fixture
def client(ceph, tmp_path):
    """The store, with a model and data in it."""
    options = {"aws_access_key_id": ceph.http.key, "aws_secret_access_key": ceph.http.secret, "region_name": "us-east-1"}
    client = boto3.Session().client("s3", endpoint_url=ceph.http.url, **options)
    client.create_bucket(Bucket=BUCKET)
    folder = tmp_path / "inputs"
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "data/train.csv", tiny.sentences(300))
    for path in filter(lambda found: found.is_file(), folder.rglob("*")):
        client.upload_file(str(path), BUCKET, str(path.relative_to(folder)))
    yield client
    client.close()


@pytest.fixture
def rendered(image, ceph, tmp_path):
    """What the command prints for a settings file, with the names of an image and a secret in it."""
    manifests.need_kubectl()
    name = f"keys-{uuid.uuid4().hex[:8]}"
    lines = LINES | {"AWS_ENDPOINT_URL_S3": ceph.http.url, "SUBMIT_IMAGE": image, "SUBMIT_S3_SECRET": name}
    with kube_pod.secret(name, {"AWS_ACCESS_KEY_ID": ceph.http.key, "AWS_SECRET_ACCESS_KEY": ceph.http.secret}):
        yield list(yaml.safe_load_all(send.render(request.read(written(tmp_path, **lines)))))


def log(client) -> list[dict]:
    """The run's history in the store."""
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=COMMITTED).get("Contents", [])
    return [json.loads(client.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read()) for found in listed]


def kinds(client) -> list[str]:
    return [entry["kind"] for entry in log(client)]


def wait_for(kind: str, client) -> None:
    while kind not in kinds(client):
        time.sleep(0.1)


@pytest.mark.timeout(900)
def test_a_pod_is_stopped_and_the_next_one_continues(client, rendered, tmp_path):
    name = f"pod-{uuid.uuid4().hex[:8]}"
    probe = manifests.container(rendered)["livenessProbe"]["exec"]["command"]
    with kube_pod.played(rendered, f"{name}-a", tmp_path) as first:
        found = first.inspect()
        assert (found["HostConfig"]["ReadonlyRootfs"], found["Config"]["User"]) == (True, "10001:10001")
        assert not found["EffectiveCaps"]
        assert "no-new-privileges" in found["HostConfig"]["SecurityOpt"]
        wait_for("started", client)
        assert first.execute(*probe).returncode == 0
        wait_for("committed", client)
        os.kill(found["State"]["Pid"], signal.SIGTERM)  # to process 1, as a kubelet does; podman might wait for a lock of its own
        assert first.wait() == 75, first.logs()[-3000:]
    last = max(entry["fields"]["step"] for entry in log(client) if entry["kind"] == "committed")
    num_entries = len(log(client))
    with kube_pod.played(rendered, f"{name}-b", tmp_path) as second:
        assert second.wait() == 0, second.logs()[-3000:]
    later = [entry["fields"]["step"] for entry in log(client)[num_entries:] if entry["kind"] == "committed"]
    assert later
    assert min(later) > last
    assert kinds(client).count("started") == 2
    assert kinds(client)[-1] == "complete"
