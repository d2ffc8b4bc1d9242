"""Runs whose history does not allow a start: nothing is begun from scratch beside it, and what is there stays as it was."""

from __future__ import annotations

import json
import shutil

import pytest

from job.cluster.stop import StopRequest
from job.cluster.supervise import Crew
from job.cluster.topology import Topology
from job.run_dir import RunDir
from job.settings import resolved, root
from job.stages.start import start_attempt
from job.storage.commit import RunLog
from job.storage.local import LocalStore
from tests.support import starts
from tests.support.starts import CANARY, NAME, Answer, Bench, bench

__all__ = ["bench"]


class History:
    """A run in the bench's store, as former attempts of these settings would have left it."""

    def __init__(self, bench: Bench) -> None:
        self.settings = root.load({name: value for name, value in bench.environ({}).items() if name.startswith("JOB_")})
        self.folder = bench.store / NAME
        crew = Crew(RunDir(bench.run_dir), Topology(1, 0, 1, 1, "cpu"), StopRequest(bench.folder / "stop"), {}, 30)
        self.attempt = start_attempt(self.settings, crew)
        self.payload = bench.folder / "payload"
        self.payload.mkdir()
        (self.payload / "state.json").write_text("{}")

    def commit(self, step: int) -> None:
        fields = {"step": step, "settings_fingerprint": resolved.fingerprint(self.settings), "sources": {}}
        self.attempt.commit_checkpoint(self.payload, fields)

    def entry(self, number: int):
        return self.folder / "log" / f"{number:010d}.json"

    def manifests(self):
        return sorted(self.folder.glob("attempts/*/checkpoints/*/MANIFEST.json"))

    def content(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def history(bench):
    made = History(bench)
    made.commit(10)
    made.commit(20)
    return made


def _edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _each_manifest(action):
    return lambda history: [action(path) for path in history.manifests()]


# fmt: off
UNREADABLE = {
    # name: (what is done to the log, what the message says)
    "a gap": (lambda h: h.entry(2).unlink(), "log at file://.* has a gap: 0000000002.json is missing"),
    "no beginning": (lambda h: h.entry(1).unlink(), "has a gap: 0000000001.json is missing"),
    "a foreign object": (lambda h: (h.folder / "log" / "notes.txt").write_text(CANARY), "holds a foreign object, 'notes.txt'"),
    "a foreign folder": (lambda h: (shutil.copytree(h.payload, h.folder / "log" / "below")), "holds a foreign object, 'below/state.json'"),
    "a damaged entry": (lambda h: h.entry(2).write_bytes(h.entry(2).read_bytes()[:-20]), "entry of the run's log is damaged"),
    "an empty entry": (lambda h: h.entry(3).write_bytes(b""), "entry of the run's log is damaged"),
    "an entry in another's place": (lambda h: shutil.copy(h.entry(3), h.entry(2)), "Entry 2 of the run's log says that it is 3"),
    "an entry of a later version": (lambda h: _edit(h.entry(3), schema=9), "log has schema 9; this version of the job reads 1"),
}
UNUSABLE = {
    # name: (what is done to the checkpoints, the reason that is given)
    "files gone": (_each_manifest(lambda path: (path.parent / "state.json").unlink()), "step 20 .*state.json is missing; step 10 .*state.json is missing"),
    "files of another size": (_each_manifest(lambda path: (path.parent / "state.json").write_text("longer")), "state.json has 6 bytes instead of 2"),
    "files of another content": (_each_manifest(lambda path: (path.parent / "state.json").write_text("[]")), "state.json has the right size but other content"),
    "manifests gone": (_each_manifest(lambda path: path.unlink()), "its manifest is missing"),
    "manifests edited": (_each_manifest(lambda path: path.write_bytes(path.read_bytes() + b" ")), "its manifest is not the one that was committed"),
}
OTHER_SETTINGS = {
    # name: (what is changed, the variables that are named)
    "a learning rate": ({"JOB_TRAIN__LEARNING_RATE": "0.0123"}, "another JOB_TRAIN__LEARNING_RATE"),
    "seed and length": ({"JOB_RUN__SEED": "7", "JOB_TRAIN__MAX_SEQ_LENGTH": "32"}, "another JOB_RUN__SEED, JOB_TRAIN__MAX_SEQ_LENGTH"),
    "a column": ({"JOB_DATA__TEXT_COLUMN": "review"}, "another JOB_DATA__TEXT_COLUMN"),
}
# fmt: on


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_log_that_cannot_be_read_is_left_alone(bench, history, capfd, name):
    spoil, says = UNREADABLE[name]
    spoil(history)
    before = history.content()
    ended = starts.in_process(bench.environ({}), capfd)
    starts.check_answer(ended, Answer(78, says, "" if "version" in name else "JOB_RUN__NAME"))
    starts.check_run_dir(ended, bench.run_dir)
    assert history.content() == before
    assert not starts.temporary_names(bench.store)


@pytest.mark.parametrize("name", UNUSABLE)
def test_checkpoints_of_which_none_can_be_used(bench, history, capfd, name):
    spoil, says = UNUSABLE[name]
    spoil(history)
    before = history.content()
    ended = starts.in_process(bench.environ({}), capfd)
    starts.check_answer(ended, Answer(78, f"2 checkpoints and none can be used.*{says}", "JOB_RUN__NAME"))
    starts.check_run_dir(ended, bench.run_dir)
    after = history.content()
    assert {key: after[key] for key in before} == before
    kinds = [json.loads(path.read_text())["kind"] for path in sorted((history.folder / "log").iterdir())]
    assert kinds == ["started", "committed", "committed", "started", "failed"]
    assert ended.failure["step"] == 20


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_another_setting_is_named_and_the_attempt_under_way_is_not_fenced_off(bench, history, capfd, name):
    changes, says = OTHER_SETTINGS[name]
    before = history.content()
    ended = starts.in_process(bench.environ(changes), capfd)
    starts.check_answer(ended, Answer(78, f"checkpoints .* made with {says}\\.", "JOB_RUN__NAME"))
    starts.check_run_dir(ended, bench.run_dir)
    assert "0.0123" not in ended.output
    assert history.content() == before
    history.commit(30)


def test_the_process_names_the_setting_too(bench, history, tmp_path):
    ended = starts.as_process(bench.environ({"JOB_TRAIN__EPOCHS": "7"}), tmp_path)
    starts.check_answer(ended, Answer(78, "made with another JOB_TRAIN__EPOCHS", "former value of JOB_TRAIN__EPOCHS"))
    starts.check_run_dir(ended, bench.run_dir)


def test_what_does_not_change_the_result_may_differ(bench, history, capfd):
    """It gets as far as the inputs: the model is taken away to end it there."""
    shutil.rmtree(bench.folder / "model")
    ended = starts.in_process(bench.environ({"JOB_TRAIN__LOG_EVERY_STEPS": "3", "JOB_CHECKPOINT__KEEP": "4"}), capfd)
    starts.check_answer(ended, Answer(64, "JOB_MODEL__URI: There is no file", "Check the location"))


@pytest.fixture
def complete(bench):
    made = History(bench)
    made.attempt.publish_model(made.payload, {"step": 10})
    made.attempt.complete()
    return made


def test_a_complete_run_is_a_success_again(bench, complete, capfd):
    before = complete.content()
    (bench.run_dir / "failure.json").parent.mkdir(parents=True)
    (bench.run_dir / "failure.json").write_text("of an earlier attempt")
    ended = starts.in_process(bench.environ({}), capfd)
    assert (ended.code, "complete already" in ended.output) == (0, True)
    assert complete.content() == before
    assert not (bench.run_dir / "failure.json").exists()


def test_a_complete_run_of_other_settings_is_no_success(bench, complete, capfd):
    before = complete.content()
    ended = starts.in_process(bench.environ({"JOB_TRAIN__EPOCHS": "7"}), capfd)
    starts.check_answer(ended, Answer(64, "tiny is complete, and was made with another JOB_TRAIN__EPOCHS", "JOB_RUN__NAME"))
    assert complete.content() == before


def test_a_log_that_cannot_be_read_does_not_depend_on_the_store(bench, capfd, request, monkeypatch):
    """The same on a real object store."""
    from tests.support.servers import places

    place = places.prepare("ceph http", request, bench.folder)
    environ = bench.environ({"JOB_OUTPUT__URI": place.uri})
    store = place.open()
    RunLog(store, NAME).start("other", {})
    store.write_bytes(f"{NAME}/log/0000000003.json", b"{}")
    ended = starts.in_process(environ, capfd)
    starts.check_answer(ended, Answer(78, r"log at s3://.* has a gap: 0000000002.json is missing", "JOB_RUN__NAME"))
    starts.check_run_dir(ended, bench.run_dir)
    assert [info.key for info in store.list(f"{NAME}/log/")] == [f"{NAME}/log/0000000001.json", f"{NAME}/log/0000000003.json"]
    assert not isinstance(store, LocalStore)
