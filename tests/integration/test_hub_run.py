"""The whole job with model and data on the Hub: private repositories, and a branch that moves on while the run is stopped."""

import json
import shutil
import signal
from types import SimpleNamespace

import pytest

from tests.support import jobs, recipes, tiny
from tests.support.hub_samples import TOKEN
from tests.support.minihub import MiniHub

MODEL, DATA = "org/tiny-distilbert", "org/reviews"
STEPS = {"TRAIN__MAX_STEPS": "120", "CHECKPOINT__EVERY_STEPS": "20", "PARALLEL__THREADS_PER_WORKER": "1"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The stand-in with a private model and a private data set of two splits."""
    folder = tmp_path_factory.mktemp("on-the-hub")
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "data/train.csv", tiny.sentences(200))
    tiny.write_csv(folder / "data/test.csv", tiny.sentences(40, seed=7))
    with MiniHub() as running:
        running.tokens = {TOKEN}
        running.add("model", MODEL, recipes.contents(folder / "model"), private=True)
        running.add("dataset", DATA, recipes.contents(folder / "data"), private=True)
        yield running


def environ(hub, folder):
    """The environment of a run whose inputs are on the Hub; no token yet."""
    names = {
        "RUN__DIR": str(folder / "runs"),
        "MODEL__URI": MODEL,
        "DATA__TRAIN_URI": DATA,
        "DATA__TEST_URI": f"hf://datasets/{DATA}@main",
    }
    about_hub = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf-home"), "HF_HUB_DISABLE_XET": "1"}
    return tiny.environ(folder, **names, **STEPS) | about_hub


def heads(hub):
    return {kind: hub.shelf.find(kind, name).branches["main"] for kind, name in (("model", MODEL), ("dataset", DATA))}


@pytest.fixture(scope="module")
def continued(hub, tmp_path_factory):
    """A run that is stopped; both branches move on; it is continued without its disk."""
    folder = tmp_path_factory.mktemp("continued")
    (folder / "token").write_text(TOKEN + "\n")
    variables = environ(hub, folder) | {"JOB_MODEL__HUB_TOKEN_FILE": str(folder / "token")}
    pinned = heads(hub)
    process = jobs.start(variables, folder / "first-log")
    jobs.wait_for(lambda: len(jobs.log_entries(folder / "store", "tiny")) >= 2, process)
    process.send_signal(signal.SIGTERM)
    code = process.wait(120)
    shutil.rmtree(folder / "runs")
    tiny.write_model(folder / "moved", seed=1)
    hub.shelf.find("model", MODEL).commit(recipes.contents(folder / "moved"))
    hub.shelf.find("dataset", DATA).commit({"train.csv": b"text,label\nanother text,another label\n"})
    num_requests = len(hub.seen)
    second = jobs.run(variables, folder / "second-log")
    return SimpleNamespace(folder=folder, code=code, pinned=pinned, second=second, requests=hub.seen[num_requests:])


def test_without_a_token_a_private_repository_cannot_be_seen(hub, tmp_path):
    """To who has no token the Hub says that there is none: what is said names both possibilities."""
    ended = jobs.run(environ(hub, tmp_path), tmp_path / "log")
    assert (ended.code, ended.failure["name"], ended.failure["stage"]) == (64, "settings", "fetch"), ended.output
    assert "JOB_MODEL__URI" in ended.failure["message"]
    assert "JOB_MODEL__HUB_TOKEN_FILE" in ended.failure["hint"]


def test_it_stops_and_continues(continued):
    assert continued.code == 75, (continued.folder / "first-log").read_text()
    assert continued.second.code == 0, continued.second.output


def test_the_continued_run_keeps_the_commits_it_began_with(hub, continued):
    assert heads(hub) != continued.pinned
    sources = json.loads((continued.folder / "runs/tiny/report/sources.json").read_bytes())
    revisions = {role: source["revision"] for role, source in sources.items()}
    of_data = continued.pinned["dataset"]
    assert revisions == {"model": continued.pinned["model"], "data/train": of_data, "data/test": of_data}
    moved = set(heads(hub).values())
    assert not [seen.request for seen in continued.requests if any(sha in seen.request for sha in moved)]


def test_the_published_report_names_them_too(continued):
    published = jobs.published(continued.folder / "store", "tiny")
    recorded = json.loads((published / "report/sources.json").read_bytes())
    assert recorded["model"]["revision"] == continued.pinned["model"]
    assert continued.pinned["model"] in (published / "report/report.html").read_text()
    assert json.loads((published / "report/metrics.json").read_bytes())["num_examples"] == 40


def test_the_token_is_in_no_file_of_the_run_or_the_store(continued):
    files = [path for path in continued.folder.rglob("*") if path.is_file() and path.name != "token"]
    assert len(files) > 30
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_the_file_server_is_given_no_token(continued):
    large = [seen for seen in continued.requests if seen.server == "files"]
    assert large
    assert not [seen for seen in large if seen.authorized]


def test_requests_are_not_logged(continued):
    """Every one would be a line, and those for large files go to signed addresses."""
    logs = [path.read_text() for path in (continued.folder / "first-log", continued.folder / "second-log")]
    assert not [line for log in logs for line in log.splitlines() if "HTTP Request" in line or "Signature" in line]
