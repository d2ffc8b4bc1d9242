from __future__ import annotations

import io
import json
import sys
import time

import pytest

from job.cluster.group import NodeGroup
from job.errors import CrashError, DataError, DeniedError, FencedError, StopRequested, UnavailableError
from job.reporting.masking import Masker
from job.stages import ending
from job.stages.logs import AttemptLogs
from job.storage.journal import Journal


@pytest.fixture(autouse=True)
def termination_log(tmp_path, monkeypatch):
    path = tmp_path / "termination-log"
    monkeypatch.setattr(ending, "TERMINATION_LOG", path)
    return path


def scene_of(context, **more):
    return ending.Scene("train", run_dir=context.run_dir, attempt=context.attempt, **more)


def kinds(context):
    return [entry.kind for entry in context.attempt.entries]


def test_the_record_is_the_same_everywhere(context, termination_log, tmp_path, capsys):
    termination_log.touch()
    assert ending.report(DataError("row 7 is odd", "Look at it."), scene_of(context)) == 65
    told = capsys.readouterr().err
    record = json.loads(told.splitlines()[-1])
    assert record == {
        "code": 65,
        "name": "data",
        "message": "row 7 is odd",
        "hint": "Look at it.",
        "stage": "train",
        "step": None,
        "last_commit": None,
        "attempt": 1,
    }
    assert "job: row 7 is odd\nLook at it.\n" in told
    in_store = tmp_path / "store" / "tiny" / "attempts" / context.attempt.nonce / "failure.json"
    for path in (context.run_dir.failure, termination_log, in_store):
        assert json.loads(path.read_bytes()) == record
    assert context.attempt.entries[-1].fields == record


def test_no_termination_log_is_made(context, termination_log):
    ending.report(DataError("x"), scene_of(context))
    assert not termination_log.exists()


def test_a_termination_log_that_the_settings_name_is_written_though_it_was_not_there(context, termination_log, tmp_path):
    termination_log.touch()
    named = tmp_path / "last-words"
    ending.report(DataError("x"), scene_of(context, termination_log=named))
    assert json.loads(named.read_bytes()) == json.loads(context.run_dir.failure.read_bytes())
    assert termination_log.read_bytes() == b""


def test_a_termination_log_that_cannot_be_written_changes_nothing(context, tmp_path):
    assert ending.report(DataError("x"), scene_of(context, termination_log=tmp_path)) == 65


def test_before_there_is_a_run_directory(capsys):
    assert ending.report(DataError("x"), ending.Scene("settings")) == 65
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["attempt"] is None


@pytest.mark.parametrize("character", ["a ", "é", "\n", '"', "\x01", "\udcff", "😀"])
@pytest.mark.parametrize("long", ["message", "hint", "both"])
def test_no_record_is_over_its_size(context, termination_log, tmp_path, character, long):
    termination_log.touch()
    text = character * 5000
    error = DataError(text if long != "hint" else "short", text if long != "message" else "short")
    ending.report(error, scene_of(context))
    content = context.run_dir.failure.read_bytes()
    assert len(content) <= ending.MAX_BYTES
    assert termination_log.read_bytes() == content
    in_store = next((tmp_path / "store").glob("*/attempts/*/failure.json"))
    assert in_store.read_bytes() == content
    record = json.loads(content)
    cut = record["message" if long != "hint" else "hint"]
    assert cut.endswith(ending.CUT)
    if long != "both":
        assert record["hint" if long == "message" else "message"] == "short"


def test_a_record_of_just_the_size_is_not_cut(context):
    def record(size):
        return ending._record(DataError("- " * (size // 2) + "-" * (size % 2)), scene_of(context))

    empty = len(json.dumps(record(0)))
    fits = record(ending.MAX_BYTES - empty)
    assert len(json.dumps(fits)) == ending.MAX_BYTES
    assert not fits["message"].endswith(ending.CUT)
    assert record(ending.MAX_BYTES - empty + 1)["message"].endswith(ending.CUT)


def test_secrets_are_in_no_record(context, capsys):
    scene = scene_of(context, masker=Masker.of(["canarySecret"]))
    ending.report(UnavailableError("https://x/?token=abc said canarySecret", "canarySecret"), scene)
    told = capsys.readouterr().err + context.run_dir.failure.read_text()
    assert "canarySecret" not in told
    assert "token=abc" not in told


def test_a_stop_is_a_stop_in_the_history(context):
    assert ending.report(StopRequested("SIGTERM"), scene_of(context)) == 75
    assert kinds(context) == ["started", "stopped"]


def test_a_run_that_is_anothers_is_not_written_to(context):
    assert ending.report(FencedError("another"), scene_of(context)) == 76
    assert kinds(context) == ["started"]


def test_the_hub_denies_and_the_store_is_told(context):
    assert ending.report(DeniedError("401"), scene_of(context)) == 77
    assert kinds(context) == ["started", "failed"]


def test_a_store_that_fails_does_not_change_the_outcome(context, monkeypatch, caplog):
    def fail(*_, **__):
        raise UnavailableError("503")

    monkeypatch.setattr(Journal, "append", fail)
    assert ending.report(DataError("x"), scene_of(context)) == 65
    assert "could not be written to the store" in caplog.text
    assert json.loads(context.run_dir.failure.read_bytes())["code"] == 65


def test_a_disk_that_fails_does_not_change_the_outcome(context):
    context.run_dir.failure.mkdir(parents=True)
    assert ending.report(DataError("x"), scene_of(context)) == 65


def test_a_bug_is_logged_with_its_stack(context, caplog):
    error = CrashError("KeyError: 'x'")
    error.__cause__ = KeyError("x")
    assert ending.report(error, scene_of(context)) == 70
    assert caplog.records[-1].exc_info[1] is error.__cause__


def test_a_stage_is_named_and_timed_also_when_it_fails(context):
    scene = ending.Scene("start")
    with pytest.raises(DataError), scene.stage(context, "fetch"):
        raise DataError("x")
    assert scene.name == "fetch"
    assert scene.timings["fetch"] >= 0


def test_no_stage_begins_after_a_stop_request(context):
    context.stop.request("SIGTERM")
    with pytest.raises(StopRequested, match="SIGTERM"), ending.Scene("start").stage(context, "fetch"):
        pytest.fail("it began")


class Other(NodeGroup):
    """Another node than the main one; ``ended``: what it told the others; ``cause``: what ended another node before."""

    node_rank, num_nodes = 1, 2

    def __init__(self, cause=None):
        self.cause, self.ended = cause, []

    def verdict(self, error):
        return self.cause or error

    def end(self, code, message="", hint=""):
        self.ended.append((code, message, hint))


def test_another_node_tells_the_others_and_leaves_the_history_to_the_main_node(context, tmp_path):
    group = Other()
    scene = scene_of(context, group=group, masker=Masker.of(["sesame"]))
    assert ending.report(DataError("row sesame", "Look."), scene) == 65
    assert group.ended == [(65, "row **********", "Look.")]
    assert kinds(context) == ["started"]
    folder = tmp_path / "store" / "tiny" / "attempts" / context.attempt.nonce
    assert json.loads((folder / "failure-node-1.json").read_bytes())["code"] == 65
    assert not (folder / "failure.json").exists()


def test_what_ended_another_node_before_is_the_outcome(context):
    group = Other(cause=DataError("Node 0: row 7"))
    assert ending.report(CrashError("a consequence"), scene_of(context, group=group)) == 65
    assert json.loads(context.run_dir.failure.read_bytes())["message"] == "Node 0: row 7"
    assert group.ended == [(65, "Node 0: row 7", "")]


def test_a_good_end_is_told_and_leaves_the_logs(context, tmp_path):
    group, logs = Other(), AttemptLogs(context.run_dir)
    context.run_dir.log("train").parent.mkdir(parents=True)
    context.run_dir.log("train").write_text("said\n")
    ending.finish(scene_of(context, group=group, logs=logs))
    assert group.ended == [(0, "", "")]
    folder = tmp_path / "store" / "tiny" / "attempts" / context.attempt.nonce
    assert (folder / "logs-node-1-train-000001.jsonl").read_text() == "said\n"


def test_last_words_come_first_and_a_store_that_is_away_takes_no_more_than_the_grace(context, termination_log, monkeypatch, caplog):
    termination_log.touch()
    seen = []

    def away(*_, **__):
        seen.append((context.run_dir.failure.exists(), termination_log.read_bytes() != b""))
        time.sleep(60)

    monkeypatch.setattr(Journal, "append", away)
    monkeypatch.setattr(ending, "LEAST_S", 0.2)
    context.stop.request("SIGTERM")
    began = time.monotonic()
    assert ending.report(StopRequested("SIGTERM"), scene_of(context, stop=context.stop, grace_s=ending.MARGIN_S)) == 75
    assert time.monotonic() - began < 30
    assert seen == [(True, True)]
    assert "the store does not answer" in caplog.text


def test_that_nobody_reads_the_last_words_changes_nothing(context, monkeypatch):
    """A terminal that is gone, or a pipe whose reader got the same Ctrl-C."""

    class Gone(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    assert ending.report(StopRequested("SIGTERM"), scene_of(context)) == 75
    assert kinds(context) == ["started", "stopped"]
