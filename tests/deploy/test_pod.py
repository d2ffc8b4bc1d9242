"""The pod of `job submit kubernetes`, run by podman against a real store: stopped, squeezed, gone with its node, fenced off; continued.

What a controller does with each end is said by the model of `tests.support.kube_model`: it is a model.
"""

import copy
import os
import signal
import uuid
from types import SimpleNamespace

import pytest
import yaml

from job.submit import request, send
from tests.support import jobs, kube_pod, manifests, scenarios
from tests.support.containers.bucket import bucket
from tests.support.kube_model import Cluster, PodEnd
from tests.support.scenarios import BY_HAND, Seen
from tests.support.submissions import written

pytestmark = pytest.mark.timeout(1200)  # a chain of starts, on a machine that may be busy
RUN = "pod"
LINES = {
    **{f"JOB_{name}": value for name, value in scenarios.RECIPE.items()},
    "JOB_RUN__NAME": RUN,
    "JOB_TRAIN__LEARNING_RATE": "1e-3",
    "JOB_TRAIN__GLOBAL_BATCH_SIZE": "16",
    "JOB_TRAIN__PRECISION": "fp32",
    "JOB_PARALLEL__WORKERS_PER_NODE": "2",
    "AWS_REGION": "us-east-1",
    "SUBMIT_GPUS": "0",
    "SUBMIT_CPUS": "2",
    "SUBMIT_MEMORY_GIB": "4",
    "SUBMIT_DISK_GIB": "1",
}
FIELDS = {"wrong setting": scenarios.WRONG_SETTING, "bad data": scenarios.BAD_DATA}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("pod")
    scenarios.write_inputs(made / "inputs")
    return made


@pytest.fixture(scope="module")
def store(ceph, folder):
    """The store, with a model and data in it."""
    with bucket(ceph.http, "pod-bucket", RUN) as made:
        made.put_inputs(folder / "inputs")
        yield made


@pytest.fixture(scope="module")
def rendered(image, ceph, store, folder):
    """What the command prints for a settings file, with the names of an image and a secret in it."""
    manifests.need_kubectl()
    name = f"keys-{uuid.uuid4().hex[:8]}"
    places = {f"JOB_{name}": uri for name, uri in store.inputs.items()}
    lines = LINES | places | {"AWS_ENDPOINT_URL_S3": ceph.http.url, "SUBMIT_IMAGE": image, "SUBMIT_S3_SECRET": name}
    with kube_pod.secret(name, {"AWS_ACCESS_KEY_ID": ceph.http.key, "AWS_SECRET_ACCESS_KEY": ceph.http.secret}):
        yield list(yaml.safe_load_all(send.render(request.read(written(folder, **lines)))))


@pytest.fixture(scope="module")
def story(rendered, store, folder):
    """Pods of one run, one after the other, and how each of them ended; the last one completes while the one before it stands still."""
    told, name = SimpleNamespace(), f"pod-{uuid.uuid4().hex[:8]}"

    def pod(letter, given=rendered):
        return kube_pod.played(given, f"{name}-{letter}", folder)

    for situation, changes in FIELDS.items():
        with pod(situation[0], with_variables(rendered, changes)) as first:
            setattr(told, situation.split()[0], ended(first))
    with pod("a") as first:
        frozen = first.freeze(RUN, after=store.committed)
        told.found = first.inspect()
        told.probe = first.execute(*manifests.container(rendered)["livenessProbe"]["exec"]["command"])
        # To process 1, as a kubelet does; podman might wait for a lock of its own.
        os.kill(told.found["State"]["Pid"], signal.SIGTERM)
        frozen.thaw_when_asked_to_stop(first.wait_for)
        told.stopped = ended(first, store)
    with pod("s", with_memory(rendered, "256Mi")) as second:
        told.squeezed = ended(second)
    with pod("k") as third:
        third.freeze(RUN, after=more_commits(store))
        os.kill(third.inspect()["State"]["Pid"], signal.SIGKILL)
        told.killed = ended(third)
    with pod("f") as fourth:
        frozen = fourth.freeze(RUN, after=more_commits(store))
        with pod("z") as last:
            told.completed = ended(last, store)
        frozen.thaw()
        told.fenced = ended(fourth)
    return told


def with_variables(given, changes):
    """As somebody might have edited the settings: what `job submit` is given is checked before."""
    made = copy.deepcopy(given)
    manifests.config_map(made, "settings").update({f"JOB_{name}": value for name, value in changes.items()})
    return made


def with_memory(given, quantity):
    made = copy.deepcopy(given)
    for amounts in manifests.container(made)["resources"].values():
        amounts["memory"] = quantity
    return made


def more_commits(store):
    """A condition: something was committed that is not there yet."""
    before = len(store.committed())
    return lambda: len(store.committed()) > before


def ended(pod, store=None):
    return SimpleNamespace(code=pod.wait(), output=pod.logs(), entries=store.entries() if store else [])


def steps(entries):
    return [entry["fields"]["step"] for entry in entries if entry["kind"] == "committed"]


def test_the_pod_is_hardened_and_its_probe_answers(story):
    assert (story.found["HostConfig"]["ReadonlyRootfs"], story.found["Config"]["User"]) == (True, "10001:10001")
    assert not story.found["EffectiveCaps"]
    assert "no-new-privileges" in story.found["HostConfig"]["SecurityOpt"]
    assert story.probe.returncode == 0


def test_a_stop_is_heard_and_what_was_trained_is_committed(story):
    assert story.stopped.code == 75, story.stopped.output[-3000:]
    assert story.stopped.entries[-1]["kind"] == "stopped"
    assert max(steps(story.stopped.entries)) == story.stopped.entries[-1]["fields"]["step"]


def test_the_last_pod_continues_and_completes(story):
    assert story.completed.code == 0, story.completed.output[-3000:]
    assert story.completed.entries[-1]["kind"] == "complete"
    committed = steps(story.completed.entries)
    assert committed == sorted(set(committed))


@pytest.fixture(scope="module")
def undisturbed(folder):
    """The same run on this machine, without any container: its weights."""
    inputs = {"JOB_MODEL__URI": "model", "JOB_DATA__TRAIN_URI": "train.csv"}
    places = {name: str(folder / "inputs" / path) for name, path in inputs.items()}
    own = {"JOB_OUTPUT__URI": str(folder / "published"), "JOB_RUN__DIR": str(folder / "runs")}
    lines = {name: value for name, value in LINES.items() if name.startswith("JOB_")}
    done = jobs.run({**lines, **places, **own}, folder / "log")
    assert done.code == 0, done.output
    return (jobs.published(folder / "published", RUN) / "model.safetensors").read_bytes()


def test_each_end_is_what_the_controller_has_a_rule_for(story, rendered, store, undisturbed):
    found = store.weights()
    assert found == undisturbed
    seen = {"stop": story.stopped, "out of memory": story.squeezed, "node lost": story.killed, "fenced": story.fenced}
    seen |= {"complete": story.completed, "wrong setting": story.wrong, "bad data": story.bad}
    for situation, end in seen.items():
        after = Cluster(rendered).ended(PodEnd(end.code, disrupted=situation == "node lost"))
        weights = found if situation in scenarios.COMPLETES else b""
        scenarios.note("pod", situation, Seen(end.code, scenarios.by_controller(after), weights))
    # The kubelet ends a pod past its time by SIGTERM, as it was stopped here; the Job has failed then, whatever the code.
    assert Cluster(rendered).past_its_time().reason == "DeadlineExceeded"
    scenarios.note("pod", "time limit", Seen(story.stopped.code, BY_HAND, found))
