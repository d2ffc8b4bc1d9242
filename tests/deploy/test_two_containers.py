"""Two containers on a private network are the two nodes of one run: one is stopped, both end with one commit, and both go on.

Beside them the same run in one container with two workers, which nobody disturbs.
"""

import contextlib
from types import SimpleNamespace

import pytest

from tests.support import scenarios, tiny
from tests.support.containers import network as networks
from tests.support.containers.bucket import bucket
from tests.support.containers.podman import podman, started, variables

pytestmark = pytest.mark.timeout(1200)  # a chain of starts, on a machine that may be busy
NAME, ALONE = "two-containers", "one-container"
FIRST_ADDRESS = 100
"""Of the nodes, in the network; podman itself gives out low ones."""


@pytest.fixture(scope="module")
def store(ceph, network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    scenarios.write_inputs(folder)
    with bucket(ceph.http, "two-containers", NAME) as made, networks.door(network, ceph.http) as endpoint:
        made.put_inputs(folder)
        yield SimpleNamespace(bucket=made, endpoint=endpoint)


@pytest.fixture(scope="module")
def told(image, network, store):
    """How both nodes ended, at the stop and at the end, and what the run's log said each time."""
    found = SimpleNamespace()
    with started(image, options(network, store, ALONE, PARALLEL__WORKERS_PER_NODE="2")) as alone:
        with nodes(image, network, store) as pair:
            frozen = [
                node.freeze(name, after=store.bucket.committed) for node, name in zip(pair, (NAME, f"{NAME}.node-1"), strict=True)
            ]
            podman("kill", "--signal=TERM", pair[1].name)
            for node, workers in zip(pair, frozen, strict=True):
                workers.thaw_when_asked_to_stop(node.wait_for)
            found.stopped = [node.wait() for node in pair]
            found.output = [node.logs() for node in pair]
        found.after_stop = store.bucket.entries()
        with nodes(image, network, store) as pair:
            found.ended = [node.wait() for node in pair]
            found.output += [node.logs() for node in pair]
        found.alone = alone.wait()
    found.entries = store.bucket.entries()
    return found


@contextlib.contextmanager
def nodes(image, network, store):
    """Both containers, the main node first."""
    address = network.subnet.rpartition(".")[0]
    with contextlib.ExitStack() as stack:
        made = []
        for rank in range(2):
            place = {
                "NUM_NODES": "2",
                "NODE_RANK": str(rank),
                "MAIN_ADDRESS": f"{address}.{FIRST_ADDRESS}",
                "WORKERS_PER_NODE": "1",
            }
            shape = {f"PARALLEL__{name}": value for name, value in place.items()}
            own = [f"--ip={address}.{FIRST_ADDRESS + rank}", f"--hostname=node-{rank}"]
            made.append(stack.enter_context(started(image, [*own, *options(network, store, NAME, **shape)])))
        yield made


def options(network, store, name, **shape):
    """Of a container that has nothing but the network, the bucket behind it, and a disk of its own."""
    given = tiny.environ(tiny.Path("/none"), **{**store.bucket.inputs, **scenarios.RECIPE, **shape, "RUN__NAME": name})
    del given["JOB_RUN__DIR"]
    own_disk = ["--read-only", "--tmpfs=/tmp:rw,mode=1777", "--tmpfs=/work:rw,mode=1777", f"--network={network.name}"]
    return [*own_disk, *variables(given), *networks.reach(store.endpoint)]


def test_the_stop_of_one_is_the_stop_of_both(told):
    assert told.stopped == [75, 75], told.output


def test_there_is_one_commit_of_the_step_at_which_they_stopped(told):
    kinds = [entry["kind"] for entry in told.after_stop]
    assert kinds.count("started") == kinds.count("stopped") == 1
    steps = [entry["fields"]["step"] for entry in told.after_stop if entry["kind"] == "committed"]
    assert steps == sorted(set(steps))
    assert steps[-1] == told.after_stop[-1]["fields"]["step"] < scenarios.LAST


def test_both_continue_there_and_complete(told):
    assert told.ended == [0, 0], told.output
    later = told.entries[len(told.after_stop) :]
    assert [entry["kind"] for entry in later].count("started") == 1
    assert min(entry["fields"]["step"] for entry in later if entry["kind"] == "committed") > told.after_stop[-1]["fields"]["step"]
    assert later[-1]["kind"] == "complete"


def test_the_weights_are_those_of_one_container_that_was_left_alone(told, store):
    assert told.alone == 0
    assert store.bucket.weights() == store.bucket.of(ALONE).weights()
