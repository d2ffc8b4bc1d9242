from __future__ import annotations

import pytest

from job.cluster.group import NodeGroup
from job.cluster.meeting import Patience
from job.cluster.nodes import NodePlace
from job.cluster.stop import StopRequest
from job.cluster.supervise import Crew
from job.cluster.topology import Topology
from job.errors import HopelessError, SettingsError, UnusableError
from job.run_dir import RunDir
from job.settings import resolved
from job.stages import start
from job.storage.commit import RunLog
from job.storage.local import LocalStore
from tests.support import tiny


@pytest.fixture(autouse=True)
def probed(monkeypatch):
    """A fake: the probe, which has tests of its own and takes its time; what it was asked."""
    asked = []

    class Sound:
        def require(self, *, fenced):
            asked.append(fenced)

    monkeypatch.setattr(start, "probe", lambda store, name: asked.append(name) or Sound())
    return asked


def start_attempt(settings):
    """A start on one node."""
    stop = StopRequest(settings.run.dir / "stop")
    return start.start_attempt(settings, Crew(RunDir(settings.run.dir), Topology(1, 0, 1, 1, "cpu"), stop, {}, 30))


@pytest.fixture
def log(tmp_path):
    return RunLog(LocalStore(tmp_path / "store"), "tiny")


@pytest.fixture
def payload(tmp_path):
    (tmp_path / "payload").mkdir()
    (tmp_path / "payload" / "state.json").write_text("{}")
    return tmp_path / "payload"


def test_a_first_start(settings, log, probed):
    attempt = start_attempt(settings)
    assert (attempt.number, attempt.fenced, probed) == (1, True, ["tiny", True])
    entry = log.read()[0]
    assert (entry.kind, entry["task"]) == ("started", "text-classification")
    assert entry["settings_fingerprint"] == resolved.fingerprint(settings)
    assert entry["settings"] == resolved.result_settings(settings)


def test_without_a_fence(tmp_path, probed):
    assert not start_attempt(tiny.settings(tmp_path, OUTPUT__FENCE="off")).fenced
    assert probed == ["tiny", False]


def test_a_later_start_takes_over(settings, caplog):
    caplog.set_level("INFO")
    start_attempt(settings)
    assert start_attempt(settings).number == 2
    assert "tiny has 1 log entries; taking it over" in caplog.text


@pytest.mark.parametrize("ended", ["complete", "published"])
def test_a_complete_run_is_not_started(settings, log, tmp_path, payload, ended):
    """Nor is one that is only published: what is left to do is its last entry."""
    first = start_attempt(settings)
    first.publish_model(payload, {"step": 10}, {"metric": "accuracy", "value": 0.5})
    if ended == "complete":
        first.complete({"metric": "accuracy", "value": 0.5})
    assert start_attempt(settings) is None
    assert start_attempt(tiny.settings(tmp_path, LIMITS__STALL_TIMEOUT_S="9")) is None
    with pytest.raises(SettingsError, match="tiny is complete, and was made with another JOB_RUN__SEED, JOB_TRAIN__EPOCHS"):
        start_attempt(tiny.settings(tmp_path, TRAIN__EPOCHS="9", RUN__SEED="1"))
    again = ["started"] if ended == "published" else []
    assert [entry.kind for entry in log.read()] == ["started", "published", *again, "complete"]
    assert log.read()[-1].fields == {"metric": "accuracy", "value": 0.5}


def test_other_settings_may_follow_as_long_as_nothing_was_trained(settings, tmp_path):
    start_attempt(settings)
    assert start_attempt(tiny.settings(tmp_path, TRAIN__EPOCHS="9")).number == 2


def test_checkpoints_of_other_settings_are_not_taken_over(settings, tmp_path, payload, log):
    start_attempt(settings).commit_checkpoint(payload, {"step": 10})
    changed = tiny.settings(tmp_path, TRAIN__EPOCHS="9")
    with pytest.raises(UnusableError, match=r"checkpoints \(1\), and none .* another JOB_TRAIN__EPOCHS\.") as caught:
        start_attempt(changed)
    assert "9" not in str(caught.value)
    assert len(log.read()) == 2
    assert start_attempt(settings).number == 2


def test_one_checkpoint_of_these_settings_is_enough(settings, tmp_path, payload):
    changed = tiny.settings(tmp_path, TRAIN__EPOCHS="9")
    first = start_attempt(settings)
    first.commit_checkpoint(payload, {"step": 10})
    log = RunLog(LocalStore(tmp_path / "store"), "tiny")
    log.start(resolved.fingerprint(changed), {}).commit_checkpoint(payload, {"step": 20})
    assert start_attempt(changed).number == 3
    assert start_attempt(settings).number == 4


def test_many_differences_are_cut():
    names = start.differing({f"train.a{n:02}": n for n in range(12)}, {})
    assert names[:2] == ["JOB_TRAIN__A00", "JOB_TRAIN__A01"]
    assert len(names) == 12


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OUTPUT__URI", "runs"),
        ("OUTPUT__URI", "runs/tiny/x/y"),
        ("MODEL__URI", "runs/tiny/model"),
        ("DATA__EVAL_URI", "runs/tiny/*.csv"),
        ("DATA__TEST_URI", "."),
    ],
)
def test_nothing_of_the_users_lies_in_the_run_directory(tmp_path, name, value):
    with pytest.raises(SettingsError, match=f"JOB_{name}"):
        start_attempt(tiny.settings(tmp_path, **{name: str(tmp_path / value)}))


def test_beside_the_run_directory_is_fine(tmp_path):
    (tmp_path / "runs" / "data").mkdir(parents=True)
    places = {"MODEL__URI": "runs/model", "DATA__TRAIN_URI": "runs/data", "DATA__TEST_URI": "*.csv", "OUTPUT__URI": "runs/store"}
    assert start_attempt(tiny.settings(tmp_path, **{name: str(tmp_path / value) for name, value in places.items()}))


def test_a_link_does_not_hide_the_run_directory(tmp_path):
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "runs" / "tiny")
    with pytest.raises(SettingsError, match="JOB_OUTPUT__URI and JOB_RUN__DIR"):
        start_attempt(tiny.settings(tmp_path, OUTPUT__URI=str(tmp_path / "link" / "store")))


def test_a_run_that_is_always_stopped_too_early_is_given_up(tmp_path):
    settings = tiny.settings(tmp_path, LIMITS__MAX_FRUITLESS_STOPS="2")
    for _ in range(2):
        start_attempt(settings).stopped()
    with pytest.raises(HopelessError, match="stopped 2 times in a row before anything was committed"):
        start_attempt(settings)
    start_attempt(tiny.settings(tmp_path, LIMITS__MAX_FRUITLESS_STOPS="0"))


@pytest.mark.parametrize("stage", ["evaluate", "publish"])
def test_a_trained_run_that_is_always_stopped_before_it_is_scored_is_told_so(tmp_path, stage):
    settings = tiny.settings(tmp_path, LIMITS__MAX_FRUITLESS_STOPS="2")
    for name in ("train", stage):
        start_attempt(settings).stopped({"stage": name})
    with pytest.raises(HopelessError, match="is trained, and was stopped 2 times in a row before the model was scored") as caught:
        start_attempt(settings)
    assert "JOB_PARALLEL__WORKERS_PER_NODE" in caught.value.hint


def test_a_run_that_gets_nowhere_is_given_up(settings, log):
    for _ in range(3):
        attempt = start_attempt(settings)
        attempt.failed({"code": 70, "message": "a bug"})
    before = log.read()
    with pytest.raises(HopelessError, match="last 3 attempts") as caught:
        start_attempt(settings)
    assert caught.value.exit_code == 93
    assert "failure records" in caught.value.hint
    assert log.read() == before


def test_being_stopped_is_not_getting_nowhere(settings):
    for _ in range(4):
        start_attempt(settings).stopped()
    assert start_attempt(settings).number == 5


class TwoNodes(NodeGroup):
    """A group of two, seen from one of them: ``nonce`` is what the main node says of the attempt it began."""

    num_nodes = 2

    def __init__(self, node_rank, nonce=""):
        self.node_rank, self.nonce, self.said = node_rank, nonce, {}

    def exchange(self, topic, value, work=lambda: None):
        self.said[topic] = value
        return [self.nonce if topic == "attempt" and self.node_rank else value, value]


def crew_of(settings, group):
    stop = StopRequest(settings.run.dir / "stop")
    return Crew(RunDir(settings.run.dir), Topology(2, group.node_rank, 1, 1, "cpu"), stop, {}, 30, group=group)


def test_one_node_begins_and_the_other_joins(settings, log):
    main = TwoNodes(0)
    begun = start.start_attempt(settings, crew_of(settings, main))
    joined = start.start_attempt(settings, crew_of(settings, TwoNodes(1, main.said["attempt"])))
    assert (joined.number, joined.nonce) == (begun.number, begun.nonce)
    assert [entry.kind for entry in log.read()] == ["started"]


def test_a_run_that_was_completed_meanwhile_is_so_for_both(settings):
    start_attempt(settings).complete()
    main = TwoNodes(0)
    assert start.start_attempt(settings, crew_of(settings, main)) is None
    assert start.start_attempt(settings, crew_of(settings, TwoNodes(1, main.said["attempt"]))) is None


def test_one_node_meets_nobody(settings, monkeypatch):
    monkeypatch.setattr(start, "meet", lambda *_: pytest.fail("met"))
    assert start.gather(settings, crew_of(settings, TwoNodes(0)), NodePlace()).num_nodes == 1


def test_several_nodes_meet_unless_the_run_is_complete(settings, monkeypatch):
    met = []
    monkeypatch.setattr(start, "meet", lambda *given: met.append(given) or "the group")
    place, crew = NodePlace(2, 1, "m", 4711), crew_of(settings, TwoNodes(1))
    assert start.gather(settings, crew, place) == "the group"
    assert met == [("tiny", place, Patience(900.0, 60.0), crew.stop)]
    start_attempt(settings).complete()
    assert start.gather(settings, crew, place) is None
    assert len(met) == 1
