"""The image as a cluster runs it: hardened, on a network that leads to its store and nowhere else; stopped, squeezed, killed, continued.

One run of six starts against a real Ceph, each start in a new container without the former one's disk; beside it an undisturbed
run without any network, whose inputs and output are folders of this machine.
"""

import json
import os
from types import SimpleNamespace

import pytest

from tests.support import jobs, scenarios, tiny
from tests.support.containers import network as networks
from tests.support.containers.bucket import bucket
from tests.support.containers.podman import podman, started, variables
from tests.support.scenarios import BY_HAND, NOBODY, Seen

pytestmark = pytest.mark.timeout(1200)  # a chain of starts, on a machine that may be busy
NAME = "docker"
HARDENED = [
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:rw,mode=1777", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--pids-limit=256", "--hostname=node"),
]
SHAPE = {"PARALLEL__WORKERS_PER_NODE": "2"}
TIME_LIMIT = {"JOB_RUN__TIME_LIMIT_S": "3", "JOB_RUN__GRACE_S": "1"}
"""Over before training has begun, on any machine; one that comes while it trains is met in the tests on Slurm."""
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
    scenarios.write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def store(ceph, network, inputs):
    """The bucket: through a door on the containers' network for them, as it is for us."""
    with bucket(ceph.http, "container-bucket", NAME) as made, networks.door(network, ceph.http) as endpoint:
        made.put_inputs(inputs)
        yield SimpleNamespace(bucket=made, endpoint=endpoint)


@pytest.fixture(scope="module")
def undisturbed(image, inputs, tmp_path_factory):
    """A run in mounted folders, without a network."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for path in (folder / "published", folder / "work"):
        path.mkdir()
        os.chown(path, UID, UID)
    places = {"MODEL__URI": "/inputs/model", "DATA__TRAIN_URI": "/inputs/train.csv", "OUTPUT__URI": "/published"}
    mounts = [f"--volume={inputs}:/inputs:ro", f"--volume={folder}/published:/published", f"--volume={folder}/work:/work"]
    within = [*HARDENED, "--network=none", *mounts]
    told = SimpleNamespace(folder=folder)
    for name, changes in {"wrong": scenarios.WRONG_SETTING, "bad": scenarios.BAD_DATA, "complete": {}}.items():
        with started(image, [*within, *settings(**places, **changes)]) as container:
            setattr(told, name, SimpleNamespace(code=container.wait(), output=container.logs()))
    return told


@pytest.fixture(scope="module")
def story(image, network, store):
    """Seven starts of one run: stopped, out of memory in a worker and in the job's first process, killed, at its time limit, fenced off by the last one, which completes."""
    options = [*HARDENED, OWN_DISK, f"--network={network.name}", *settings(**store.bucket.inputs), *networks.reach(store.endpoint)]
    told = SimpleNamespace()
    with started(image, options) as container:
        frozen = container.freeze(NAME, after=store.bucket.committed)
        told.alive, look = container.execute("python", "-m", "job", "alive"), container.execute("python", "-c", LOOK)
        podman("kill", "--signal=TERM", container.name)
        frozen.thaw_when_asked_to_stop(container.wait_for)
        told.stopped = end(container, store)
    told.inside = json.loads(look.stdout) if look.returncode == 0 else look.stderr
    with started(image, [*options, "--memory=256m", "--memory-swap=256m"]) as container:
        told.squeezed = end(container, store)
    with started(image, [*options, "--memory=48m", "--memory-swap=48m"]) as container:
        told.drowned = end(container, store)
    with started(image, options) as container:
        container.freeze(NAME, after=more_commits(store))
        podman("kill", "--signal=KILL", container.name)
        told.killed = end(container, store)
    with started(image, [*options, *variables(TIME_LIMIT)]) as container:
        told.limited = end(container, store)
    with started(image, options) as container:
        frozen = container.freeze(NAME, after=more_commits(store))
        with started(image, options) as last:
            told.completed = end(last, store)
        frozen.thaw()
        told.fenced = end(container, store)
    return told


def more_commits(store):
    """A condition: something was committed that is not there yet."""
    before = len(store.bucket.committed())
    return lambda: len(store.bucket.committed()) > before


def settings(**changes):
    """Options with the settings of the run; places are those that are given."""
    given = tiny.environ(tiny.Path("/none"), RUN__NAME=NAME, RUN__LOG_FORMAT="json", **{**scenarios.RECIPE, **SHAPE, **changes})
    del given["JOB_RUN__DIR"]
    return variables(given)


def end(container, store):
    code = container.wait()
    return SimpleNamespace(code=code, output=container.logs(), entries=store.bucket.entries())


def committed(ended):
    return max(entry["fields"]["step"] for entry in ended.entries if entry["kind"] == "committed")


@pytest.fixture(scope="module")
def weights(undisturbed):
    return (jobs.published(undisturbed.folder / "published", NAME) / "model.safetensors").read_bytes()


def test_without_a_network_and_in_mounted_folders_it_completes(undisturbed, weights):
    assert undisturbed.complete.code == 0, undisturbed.complete.output
    assert (jobs.published(undisturbed.folder / "published", NAME) / "README.md").is_file()
    scenarios.note("docker", "complete", Seen(0, NOBODY, weights))


@pytest.mark.parametrize(("situation", "says"), [("wrong setting", "JOB_TRAIN__MAX_STEPS"), ("bad data", "no column 'body'")])
def test_what_only_a_person_can_put_right_is_named(undisturbed, situation, says):
    ended = vars(undisturbed)[situation.split()[0]]
    scenarios.note("docker", situation, Seen(ended.code, NOBODY))
    assert says in json.loads(ended.output.strip().splitlines()[-1])["message"]


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


def test_a_limit_that_ends_the_whole_container_is_137_and_loses_nothing(story):
    assert story.drowned.code == 137, story.drowned.output
    assert committed(story.drowned) == committed(story.stopped)


def test_a_killed_container_is_137_and_loses_nothing_that_was_committed(story):
    assert story.killed.code == 137
    assert committed(story.killed) > committed(story.stopped)


def test_a_time_limit_is_met_without_a_signal(story):
    assert story.limited.code == 75, story.limited.output
    assert committed(story.limited) == committed(story.killed)


def test_a_newer_start_fences_an_older_one_off(story):
    assert story.fenced.code == 76, story.fenced.output
    assert story.fenced.entries == story.completed.entries, "it has written nothing more"


def test_the_last_start_continues_and_completes(story):
    assert story.completed.code == 0, story.completed.output
    assert [entry["kind"] for entry in story.completed.entries[-2:]] == ["published", "complete"]
    # The one whose time was over at once may have ended before it took the run over.
    assert [entry["kind"] for entry in story.completed.entries].count("started") in (5, 6)


def test_the_weights_are_those_of_the_undisturbed_run(story, weights, store):
    found = store.bucket.weights()
    assert found == weights
    for situation, ended in {"stop": story.stopped, "out of memory": story.squeezed, "node lost": story.killed}.items():
        scenarios.note("docker", situation, Seen(ended.code, BY_HAND, found))
    scenarios.note("docker", "time limit", Seen(story.limited.code, BY_HAND, found))
    scenarios.note("docker", "fenced", Seen(story.fenced.code, NOBODY, found))
