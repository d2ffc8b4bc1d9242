"""The image as a cluster runs it: hardened, on a network that leads to its store and nowhere else; stopped, squeezed, killed, continued.

One run of four starts against a real Ceph, each start in a new container without the former one's disk; beside it an undisturbed
run without any network, whose inputs and output are folders of this machine.
"""

import json
import os
from types import SimpleNamespace

import boto3
import pytest

from tests.support import jobs, recipes, tiny
from tests.support.containers import network as networks
from tests.support.containers.podman import podman, started, variables

BUCKET, NAME = "container-bucket", "tiny"
STEPS = {
    "TRAIN__MAX_STEPS": "600",
    "CHECKPOINT__EVERY_STEPS": "50",
    "EVAL__EVERY_STEPS": "200",
    "PARALLEL__THREADS_PER_WORKER": "1",
}
HARDENED = [
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:rw,mode=1777", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--pids-limit=256", "--hostname=node"),
]
OWN_DISK = "--tmpfs=/work:rw,mode=1777"
UID = 10001
LOOK = """
import json, os, pwd, socket, subprocess
from pathlib import Path

def refused(path):
    try:
        Path(path, "probe").write_text("")
    except OSError as error:
        return error.errno
    Path(path, "probe").unlink()

def reached(host, port):
    with socket.socket() as connection:
        connection.settimeout(1)
        return connection.connect_ex((host, port)) == 0

status = dict(line.split(":", 1) for line in Path("/proc/1/status").read_text().splitlines())
print(json.dumps({
    "first": Path("/proc/1/cmdline").read_bytes().decode().split("\\0")[:2],
    "ids": [status["Uid"].split(), status["Gid"].split()],
    "powers": [status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs")],
    "name": pwd.getpwuid(os.getuid()).pw_name,
    "home": str(Path.home()),
    "refused": {path: refused(path) for path in ("/", "/opt/venv", "/etc", "/usr", "/var/tmp", "/work", "/tmp", "/dev/shm")},
    "outside": [reached("192.0.2.1", 80), reached("198.51.100.1", 443)],
}))
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "data/train.csv", tiny.sentences(300))
    tiny.write_csv(folder / "data/test.csv", tiny.sentences(60, seed=7))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)  # read by another user
    return folder


@pytest.fixture(scope="module")
def store(ceph, network):
    """The bucket: through a door on the containers' network for them, as it is for us."""
    options = {"aws_access_key_id": ceph.http.key, "aws_secret_access_key": ceph.http.secret, "region_name": "us-east-1"}
    client = boto3.Session().client("s3", endpoint_url=ceph.http.url, **options)
    client.create_bucket(Bucket=BUCKET)
    with networks.door(network, ceph.http) as endpoint:
        yield SimpleNamespace(client=client, endpoint=endpoint)
    client.close()


@pytest.fixture(scope="module")
def undisturbed(image, inputs, tmp_path_factory):
    """A run in mounted folders, without a network."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for path in (folder / "published", folder / "work"):
        path.mkdir()
        os.chown(path, UID, UID)
    places = {"MODEL__URI": "/inputs/model", "DATA__TRAIN_URI": "/inputs/data/train.csv", "DATA__TEST_URI": "/inputs/data/test.csv"}
    mounts = [f"--volume={inputs}:/inputs:ro", f"--volume={folder}/published:/published", f"--volume={folder}/work:/work"]
    with started(image, [*HARDENED, "--network=none", *mounts, *settings(**places, OUTPUT__URI="/published")]) as container:
        code = container.wait()
        return SimpleNamespace(folder=folder, code=code, output=container.logs())


@pytest.fixture(scope="module")
def story(image, inputs, network, store):
    """Four starts of one run: stopped, out of memory, killed, complete."""
    for path, content in recipes.contents(inputs).items():
        store.client.put_object(Bucket=BUCKET, Key=f"inputs/{path}", Body=content)
    places = {"MODEL__URI": "model", "DATA__TRAIN_URI": "data/train.csv", "DATA__TEST_URI": "data/test.csv"}
    places = {name: f"s3://{BUCKET}/inputs/{path}" for name, path in places.items()}
    options = [*HARDENED, OWN_DISK, f"--network={network.name}", *settings(**places, OUTPUT__URI=f"s3://{BUCKET}/runs")]
    options += networks.reach(store.endpoint)
    told = SimpleNamespace()
    with started(image, options) as container:
        container.wait_for(lambda: kinds(store).count("committed"))
        told.alive, look = container.execute("python", "-m", "job", "alive"), container.execute("python", "-c", LOOK)
        podman("stop", "--time=120", container.name)
        told.stopped = end(container, store)
    told.inside = json.loads(look.stdout) if look.returncode == 0 else look.stderr
    with started(image, [*options, "--memory=256m", "--memory-swap=256m"]) as container:
        container.wait()
        told.squeezed = end(container, store)
    before = kinds(store).count("committed")
    with started(image, options) as container:
        container.wait_for(lambda: kinds(store).count("committed") > before)
        podman("kill", "--signal=KILL", container.name)
        told.killed = end(container, store)
    with started(image, options) as container:
        container.wait()
        told.completed = end(container, store)
    return told


def settings(**changes):
    """Options with the settings of a small run; places are those that are given."""
    given = tiny.environ(tiny.Path("/none"), **changes, **STEPS, RUN__LOG_FORMAT="json")
    del given["JOB_RUN__DIR"]
    return variables(given)


def end(container, store):
    return SimpleNamespace(
        code=container.wait(), output=container.logs(), entries=entries(store), state=container.inspect()["State"]
    )


def keys(store, prefix):
    pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def content(store, key):
    return store.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def entries(store):
    return [json.loads(content(store, key)) for key in sorted(keys(store, f"runs/{NAME}/log/"))]


def kinds(store):
    return [entry["kind"] for entry in entries(store)]


def committed(ended):
    return max(entry["fields"]["step"] for entry in ended.entries if entry["kind"] == "committed")


def test_without_a_network_and_in_mounted_folders_it_completes(undisturbed):
    assert undisturbed.code == 0, undisturbed.output
    assert (jobs.published(undisturbed.folder / "published", NAME) / "README.md").is_file()


def test_it_runs_as_nobody_in_particular_and_may_do_nothing_else(story):
    inside = story.inside
    assert inside["first"] == ["tini", "--"]
    assert inside["ids"] == [[str(UID)] * 4] * 2
    assert inside["powers"] == ["0" * 16, "0" * 16, "0" * 16, "1"]
    assert (inside["name"], inside["home"]) == ("job", "/work")


def test_only_three_folders_are_written(story):
    refused = story.inside["refused"]
    assert {path for path, error in refused.items() if error is None} == {"/work", "/tmp", "/dev/shm"}


def test_nothing_but_the_store_is_reached(story):
    assert story.inside["outside"] == [False, False]


def test_the_probe_answers_while_it_trains(story):
    assert story.alive.returncode == 0, story.alive.stderr
    assert "300 s are allowed" in story.alive.stdout


def test_a_stop_is_heard_through_process_one_and_commits(story):
    assert story.stopped.code == 75, story.stopped.output
    assert story.stopped.entries[-1]["kind"] == "stopped"
    assert committed(story.stopped) == story.stopped.entries[-1]["fields"]["step"]


def test_too_little_memory_is_a_failure_that_says_so_and_may_be_tried_again(story):
    assert story.squeezed.code in (70, 137), story.squeezed.output
    if story.squeezed.code == 70:
        assert "memory" in json.loads(story.squeezed.output.strip().splitlines()[-1])["hint"]
    assert committed(story.squeezed) == committed(story.stopped)


def test_a_killed_container_is_137_and_loses_nothing_that_was_committed(story):
    assert story.killed.code == 137
    assert committed(story.killed) > committed(story.stopped)


def test_the_last_start_continues_and_completes(story):
    assert story.completed.code == 0, story.completed.output
    assert [entry["kind"] for entry in story.completed.entries[-2:]] == ["published", "complete"]
    assert [entry["kind"] for entry in story.completed.entries].count("started") == 4


def test_the_weights_are_those_of_the_undisturbed_run(story, undisturbed, store):
    entry = next(entry for entry in story.completed.entries if entry["kind"] == "published")
    weights = content(store, f"runs/{entry['fields']['manifest'].rpartition('/')[0]}/model.safetensors")
    assert weights == (jobs.published(undisturbed.folder / "published", NAME) / "model.safetensors").read_bytes()
