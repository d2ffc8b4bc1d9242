"""The whole job with a repository on the Hub to push to: told at the start, never fatal at the end, and tried again alone."""

import json
import shutil

import pytest

from tests.support import jobs, tiny
from tests.support.hub_samples import TOKEN
from tests.support.minihub import MiniHub
from tests.support.minihub_faults import ALWAYS, Fault

REPO = "org/tuned"
SMALL = {"TRAIN__MAX_STEPS": "4", "PARALLEL__THREADS_PER_WORKER": "1", "LIMITS__STORE_TIMEOUT_S": "2", "OUTPUT__HUB_REPO": REPO}


@pytest.fixture(scope="module")
def hub():
    with MiniHub() as running:
        running.tokens = {TOKEN, "hf_reader"}
        running.readers = {"hf_reader"}
        yield running


@pytest.fixture(scope="module")
def environ(hub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "train.csv", tiny.sentences(120))
    about_hub = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf-home"), "HF_HUB_DISABLE_XET": "1"}
    return folder, tiny.environ(folder, **SMALL) | about_hub | {"JOB_OUTPUT__HUB_TOKEN": TOKEN}


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"JOB_OUTPUT__HUB_TOKEN": "hf_wrong"}, 77, "does not accept the token used for JOB_OUTPUT__HUB_REPO"),
        ({"JOB_OUTPUT__HUB_TOKEN": "hf_reader"}, 77, "may read only"),
        ({"JOB_OUTPUT__HUB_REPO": "nowhere/tuned"}, 64, "neither the token's user nor one of its organizations"),
        ({"JOB_OUTPUT__HUB_TOKEN": ""}, 77, "JOB_OUTPUT__HUB_REPO needs a Hub token, and there is none"),
    ],
    ids=["wrong token", "reading token", "unknown namespace", "no token"],
)
def test_no_access_is_told_before_any_work(environ, tmp_path, changes, code, says):
    folder, variables = environ
    ended = jobs.run({**variables, "JOB_RUN__NAME": "denied", **changes}, tmp_path / "log")
    assert (ended.code, ended.failure["stage"]) == (code, "start"), ended.output
    assert says in ended.failure["message"]
    assert "JOB_OUTPUT__HUB_TOKEN_FILE" in ended.failure["hint"]
    assert jobs.log_entries(folder / "store", "denied") == [], "nothing was taken over"
    assert "hf_wrong" not in ended.output
    assert "hf_reader" not in ended.output


def test_a_push_that_fails_changes_nothing_and_is_tried_again_alone(hub, environ, tmp_path):
    folder, variables = environ
    hub.fail(Fault("POST .*/commit/", ALWAYS, status=500))
    first = jobs.run(variables, tmp_path / "first")
    assert first.code == 0, first.output
    kinds = [entry["kind"] for entry in jobs.log_entries(folder / "store", "tiny")]
    assert kinds[-3:] == ["published", "complete", "unshared"]
    assert "safe in the store" in first.output
    assert "Start the same run again" in first.output
    hub.faults.__init__()
    shutil.rmtree(folder / "runs")  # another machine
    second = jobs.run(variables, tmp_path / "second")
    assert second.code == 0, second.output
    entries = jobs.log_entries(folder / "store", "tiny")
    assert [entry["kind"] for entry in entries][len(kinds) :] == ["shared"], "no attempt was started"
    assert not list((folder / "runs").rglob("logs/*.log")), "no worker was"
    repo = hub.shelf.find("model", REPO)
    manifest = json.loads((jobs.published(folder / "store", "tiny") / "MANIFEST.json").read_bytes())
    pushed = repo.commits[repo.branches["main"]]
    assert repo.private
    assert pushed.keys() == {file["path"] for file in manifest["files"]}
    assert all(pushed[path] == (jobs.published(folder / "store", "tiny") / path).read_bytes() for path in pushed)
    sha256 = entries[-1]["fields"]["manifest_sha256"]
    assert repo.titles[-1] == f"Publish tiny (manifest {sha256[:12]})"
    num_requests, num_commits = len(hub.seen), len(repo.commits)
    third = jobs.run(variables, tmp_path / "third")
    assert third.code == 0
    assert "nothing to do" in third.output
    assert (len(hub.seen), len(repo.commits)) == (num_requests, num_commits), "the Hub is not asked again"
    everything = [path.read_bytes() for path in [*folder.rglob("*"), *tmp_path.rglob("*")] if path.is_file()]
    assert not [content for content in [*everything, *pushed.values()] if TOKEN.encode() in content]
