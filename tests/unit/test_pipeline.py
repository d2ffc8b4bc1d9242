"""The order of the stages and the one place where an end becomes an exit code.  Fakes: the five stages, and the probe of the store."""

from __future__ import annotations

import json
import logging
import os
import signal

import pytest

from job import pipeline, run_dir
from job.cluster.group import NodeGroup
from job.errors import DataError, SettingsError, StopRequested, UnavailableError
from job.records import PublishedRun
from job.run_dir import RunDir
from job.stages import start
from job.storage import commit
from job.storage.commit import Attempt, RunLog
from job.storage.local import LocalStore
from tests.support import tiny
from tests.support.starts import own_logging

PUBLISHED = PublishedRun("file:///model", "report.html", 7, "accuracy", 0.5, "hash")


class Sound:
    def require(self, *, fenced):
        """A store that lacks nothing."""


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.setattr(start, "probe", lambda *_: Sound())
    monkeypatch.setattr(os, "fsync", lambda _: None)
    with own_logging():
        yield


@pytest.fixture
def folder(tmp_path):
    return RunDir(tmp_path / "runs" / "tiny")


@pytest.fixture
def stages(monkeypatch):
    """What each stage was called with, in order; ``stages.ends``: by name, what a stage does instead of returning."""

    class Stages(list):
        ends: dict = {}

    called = Stages()
    called.ends = {}

    def fake(name, result):
        def stage(context, *given):
            called.append((name, context, *given))
            if name in called.ends:
                called.ends[name](context)
            return result

        monkeypatch.setattr(pipeline, name, stage)

    for name, result in {
        "fetch": "inputs",
        "prepare": "data",
        "train": "model",
        "evaluate": "scores",
        "publish": PUBLISHED,
    }.items():
        fake(name, result)
    return called


def raising(error):
    def end(_context):
        raise error

    return end


def kinds(tmp_path):
    return [json.loads(path.read_bytes())["kind"] for path in sorted((tmp_path / "store" / "tiny" / "log").glob("*.json"))]


def test_the_stages_in_the_order_of_the_data(stages, tmp_path, folder, capsys):
    assert pipeline.main(tiny.environ(tmp_path)) == 0
    assert [(name, *given[:2]) for name, _, *given in stages] == [
        ("fetch",),
        ("prepare", "inputs"),
        ("train", "data"),
        ("evaluate", "model"),
        ("publish", "inputs", "scores"),
    ]
    assert stages[-1][-1].keys() == {"fetch", "prepare", "train", "evaluate", "publish"}
    told = capsys.readouterr()
    assert "file:///model" in told.out
    attempt = stages[0][1].attempt
    assert run_dir.read_json(folder.attempt) == {"number": 1, "nonce": attempt.nonce}
    assert not folder.alive.exists()
    assert json.loads(folder.settings.read_bytes())["run"]["name"] == "tiny"
    assert not folder.failure.exists()


@pytest.mark.parametrize("error", [UnavailableError("503"), StopRequested("SIGTERM")])
def test_what_ends_an_attempt_right_after_its_beginning_is_its_end(stages, tmp_path, monkeypatch, error):
    """Three such ends in a row are no reason to give up: without a last entry each would count as a crash."""

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(commit, "_clean_up", fail)
        assert [pipeline.main(tiny.environ(tmp_path)) for _ in range(3)] == [error.exit_code] * 3
    assert kinds(tmp_path) == ["started", "stopped" if error.exit_code == 75 else "failed"] * 3
    assert pipeline.main(tiny.environ(tmp_path)) == 0


def test_whoever_watches_is_told_how_it_stands_and_how_it_ended(stages, tmp_path, capsys):
    path = tmp_path / "job.prom"
    stages.ends["train"] = lambda context: (context.progress.stage("train"), raising(DataError("row 7"))(context))
    assert pipeline.main({**tiny.environ(tmp_path), "JOB_METRICS__TEXTFILE": str(path), "JOB_RUN__LOG_FORMAT": "json"}) == 65
    text = path.read_text()
    assert 'finetune_job_exit_code{node="0",run="tiny"} 65.0' in text
    assert 'finetune_job_stage{node="0",run="tiny",stage="train"} 1.0' in text
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith('{"time"')]
    assert {(line["run"], line["attempt"], line["node"]) for line in lines if line.get("stage") == "train"} == {("tiny", 1, 0)}


def test_a_wrong_setting_makes_nothing(stages, tmp_path, capsys):
    assert pipeline.main({**tiny.environ(tmp_path), "JOB_TRAIN__EPOCHS": "many"}) == 64
    assert list(tmp_path.iterdir()) == []
    assert stages == []
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["stage"] == "settings"


def test_a_failure_is_told_with_its_stage(stages, tmp_path, folder, capsys):
    stages.ends["train"] = raising(DataError("row 7", "Look."))
    assert pipeline.main(tiny.environ(tmp_path)) == 65
    record = json.loads(folder.failure.read_bytes())
    assert (record["stage"], record["message"], record["attempt"]) == ("train", "row 7", 1)
    assert json.loads(capsys.readouterr().err.splitlines()[-1]) == record
    assert kinds(tmp_path) == ["started", "failed"]


def test_a_bug_is_a_crash_with_its_stack_in_the_log(stages, tmp_path, capsys):
    stages.ends["publish"] = lambda _: {}["nothing"]
    assert pipeline.main(tiny.environ(tmp_path)) == 70
    told = capsys.readouterr().err
    assert "KeyError: 'nothing'" in json.loads(told.splitlines()[-1])["message"]
    assert "Traceback" in told


def test_secrets_are_masked_wherever_an_error_takes_them(stages, tmp_path, folder, capsys):
    stages.ends["fetch"] = raising(ValueError("the server said canarySecret"))
    assert pipeline.main({**tiny.environ(tmp_path, MODEL__HUB_TOKEN="canarySecret")}) == 70
    assert "canarySecret" not in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canarySecret" in path.read_bytes()]


def test_a_complete_run_is_left_as_it_is(stages, tmp_path, caplog):
    stages.ends["publish"] = lambda context: context.attempt.complete()
    assert pipeline.main(tiny.environ(tmp_path)) == 0
    stages.clear()
    assert pipeline.main(tiny.environ(tmp_path)) == 0
    assert stages == []
    assert kinds(tmp_path) == ["started", "complete"]


def test_what_an_earlier_start_left_is_gone(stages, tmp_path, folder):
    stages.ends["fetch"] = raising(SettingsError("x"))
    assert pipeline.main(tiny.environ(tmp_path)) == 64
    (folder.root / ".tmp-1-half").write_text("half")
    folder.stop.touch()
    stages.ends.clear()
    assert pipeline.main(tiny.environ(tmp_path)) == 0
    assert not folder.failure.exists()
    assert not (folder.root / ".tmp-1-half").exists()


def test_a_folder_in_use_is_not_touched(stages, tmp_path, folder):
    with run_dir.exclusive(folder):
        folder.failure.write_text("the other's")
        (folder.root / ".tmp-1-half").write_text("the other's")
        folder.stop.write_text("the other's")
        assert pipeline.main(tiny.environ(tmp_path)) == 76
    assert folder.failure.read_text() == (folder.root / ".tmp-1-half").read_text() == folder.stop.read_text() == "the other's"
    assert kinds(tmp_path) == []


def test_a_stop_signal_between_stages(stages, tmp_path):
    stages.ends["prepare"] = lambda _: os.kill(os.getpid(), signal.SIGTERM)
    assert pipeline.main(tiny.environ(tmp_path)) == 75
    assert [name for name, *_ in stages] == ["fetch", "prepare"]
    assert kinds(tmp_path) == ["started", "stopped"]


def test_a_second_signal_does_not_cut_the_ending_short(stages, tmp_path, monkeypatch):
    real = Attempt.stopped

    def stopped(attempt, record):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(attempt, record)

    monkeypatch.setattr(Attempt, "stopped", stopped)
    unheard = []
    before = signal.signal(signal.SIGTERM, lambda *_: unheard.append("it would have ended the process"))
    stages.ends["train"] = raising(StopRequested("SIGTERM"))
    try:
        assert pipeline.main(tiny.environ(tmp_path)) == 75
    finally:
        signal.signal(signal.SIGTERM, before)
    assert unheard == []
    assert kinds(tmp_path) == ["started", "stopped"]


def test_the_end_of_the_allocation_is_a_stop(stages, tmp_path, folder, monkeypatch):
    late = iter([0.0])
    real = pipeline.time.monotonic
    monkeypatch.setattr(pipeline.time, "monotonic", lambda: real() - 50 if next(late, None) is not None else real())
    assert pipeline.main(tiny.environ(tmp_path, RUN__TIME_LIMIT_S="60", RUN__GRACE_S="20")) == 75
    assert "the end of the allocation" in json.loads(folder.failure.read_bytes())["message"]
    assert stages == []


def test_the_signals_are_the_callers_again(stages, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    pipeline.main(tiny.environ(tmp_path))
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_log_names_the_run(stages, tmp_path, capsys):
    pipeline.main(tiny.environ(tmp_path))
    logging.getLogger("job").warning("said")
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["run"] == "tiny"


class Group(NodeGroup):
    """A group of two, seen from node 1: how it ended is written down."""

    num_nodes, node_rank = 2, 1

    def __init__(self):
        self.ends, self.waited = [], 0

    def exchange(self, topic, value, work=lambda: None):
        return [value, value]

    def wait_for_main(self, work=lambda: None):
        self.waited += 1

    def end(self, code, message="", hint=""):
        self.ends.append(code)


@pytest.fixture
def second(stages, monkeypatch, tmp_path):
    """The second of two nodes: its group, and its environment."""
    group = Group()
    monkeypatch.setattr(pipeline, "gather", lambda *_: group)
    monkeypatch.setattr(pipeline, "start_attempt", lambda *_: RunLog(LocalStore(tmp_path / "store"), "tiny").start("f"))
    monkeypatch.setattr(pipeline, "train", lambda context, _: stages.append(("train", context)))
    variables = {"PARALLEL__NUM_NODES": "2", "PARALLEL__NODE_RANK": "1", "PARALLEL__MAIN_ADDRESS": "main-node"}
    return group, tiny.environ(tmp_path, **variables)


def test_another_node_trains_and_waits_for_the_main_node(second, stages, tmp_path, capsys):
    group, environ = second
    assert pipeline.main(environ) == 0
    assert [name for name, *_ in stages] == ["fetch", "prepare", "train"]
    assert (group.waited, group.ends) == (1, [0])
    assert (tmp_path / "runs/tiny.node-1/settings.json").exists()
    assert not (tmp_path / "runs/tiny").exists()
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["node"] == 1


def test_how_another_node_failed_is_told(second, stages, tmp_path):
    group, environ = second
    stages.ends["prepare"] = raising(DataError("row 7"))
    assert pipeline.main(environ) == 65
    assert group.ends == [65]
    assert kinds(tmp_path) == ["started"]


def test_a_place_that_cannot_be_is_a_wrong_setting(stages, tmp_path, capsys):
    assert pipeline.main(tiny.environ(tmp_path, PARALLEL__NUM_NODES="2")) == 64
    assert "JOB_PARALLEL__NODE_RANK" in json.loads(capsys.readouterr().err.splitlines()[-1])["hint"]
    assert list(tmp_path.iterdir()) == []
