import json
import threading
import time

import pytest

from job.errors import UnavailableError
from job.stages import logs
from job.stages.logs import AttemptLogs


@pytest.fixture
def log(context):
    path = context.run_dir.log("train")
    path.parent.mkdir(parents=True)
    return path


def parts(context, tmp_path):
    folder = tmp_path / "store" / "tiny" / "attempts" / context.attempt.nonce
    return {path.name: path.read_text() for path in sorted(folder.glob("*.jsonl"))}


def test_what_this_attempt_logged_by_program_and_node(context, log, tmp_path):
    log.write_text("an earlier attempt's\n")
    found = AttemptLogs(context.run_dir)
    with log.open("a") as file:
        file.write(json.dumps({"said": "secret"}) + "\n")
    context.run_dir.log("evaluate").write_text("new\n")
    context.run_dir.log("prepare").write_text("")
    found.upload(context.attempt, 3, lambda text: text.replace("secret", "***"))
    assert parts(context, tmp_path) == {
        "logs-node-3-train-000001.jsonl": '{"said": "***"}\n',
        "logs-node-3-evaluate-000001.jsonl": "new\n",
    }


def test_each_part_holds_what_is_new_and_half_a_line_waits_for_the_end(context, log, tmp_path):
    found = AttemptLogs(context.run_dir)
    for text in ("one\ntw", "o\n", "", "three\nfo"):
        with log.open("a") as file:
            file.write(text)
        found.upload(context.attempt, 0, str)
    assert list(parts(context, tmp_path).values()) == ["one\n", "two\n", "three\n"]
    found.upload(context.attempt, 0, str, last=True)
    assert max(parts(context, tmp_path).items()) == ("logs-node-0-train-000004.jsonl", "fo")


def test_of_a_long_log_the_end(context, log, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 4)
    found = AttemptLogs(context.run_dir)
    log.write_text("0123456789")
    found.upload(context.attempt, 0, str, last=True)
    found.upload(context.attempt, 0, str, last=True)
    assert parts(context, tmp_path) == {"logs-node-0-train-000001.jsonl": "6789"}


def test_a_store_that_fails_changes_nothing_and_gets_the_same_part_again(context, log, monkeypatch, caplog):
    written, error = [], UnavailableError("503")

    def write(_, name, data):
        written.append((name, data))
        if error:
            raise error

    monkeypatch.setattr(type(context.attempt), "write_part", write)
    found = AttemptLogs(context.run_dir)
    log.write_text("one\n")
    found.upload(context.attempt, 0, str)
    assert "could not be written to the store: 503" in caplog.text
    log.write_text("one\ntwo\n")
    error = None
    found.upload(context.attempt, 0, str)
    first = ("logs-node-0-train-000001.jsonl", b"one\n")
    assert written == [first, first, ("logs-node-0-train-000002.jsonl", b"two\n")]


def test_the_main_node_sends_the_metrics_also_when_they_were_replaced(context, log, tmp_path):
    context.run_dir.metrics.write_text('{"step": 9}\n{"st')
    found = AttemptLogs(context.run_dir)
    found.upload(context.attempt, 1, str)
    assert parts(context, tmp_path) == {}
    found.upload(context.attempt, 0, str)
    context.run_dir.metrics.unlink()
    log.write_text("said meanwhile\n")
    found.upload(context.attempt, 0, str)
    assert "logs-node-0-train-000001.jsonl" in parts(context, tmp_path)
    other = context.run_dir.metrics.with_name("other")
    other.write_text('{"step": 7}\n{"step": 8}\n')
    other.replace(context.run_dir.metrics)
    found.upload(context.attempt, 0, str)
    assert parts(context, tmp_path) == {
        "logs-node-0-train-000001.jsonl": "said meanwhile\n",
        "metrics-000001.jsonl": '{"step": 9}\n',
        "metrics-000002.jsonl": '{"step": 7}\n{"step": 8}\n',
    }


def test_they_are_sent_when_asked_and_from_time_to_time_and_nobody_waits(monkeypatch):
    monkeypatch.setattr(logs, "SHIP_EVERY_S", 0.01)
    sent, twice, away = [], threading.Event(), threading.Event()

    def ship():
        sent.append(None)
        if len(sent) == 2:
            twice.set()
            away.wait(60)

    with logs.Shipping(ship).running():
        assert twice.wait(30)
    assert len(sent) == 2
    away.set()
    monkeypatch.setattr(logs, "SHIP_EVERY_S", 3600)
    sent.clear()
    twice.clear()
    shipping = logs.Shipping(ship)
    with shipping.running():
        shipping.ask()
        while not sent:
            time.sleep(0.01)
        shipping.ask()
        assert twice.wait(30)
