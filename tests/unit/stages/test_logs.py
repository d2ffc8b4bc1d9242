import json

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
    return {path.name: path.read_text() for path in folder.glob("logs-*")}


def test_what_this_attempt_logged_by_program_and_node(context, log, tmp_path):
    log.write_text("an earlier attempt's\n")
    found = AttemptLogs(context.run_dir)
    with log.open("a") as file:
        file.write(json.dumps({"said": "secret"}) + "\n")
    context.run_dir.log("evaluate").write_text("new\n")
    context.run_dir.log("prepare").write_text("")
    found.upload(context.attempt, 3, lambda text: text.replace("secret", "***"))
    assert parts(context, tmp_path) == {"logs-node-3-train.jsonl": '{"said": "***"}\n', "logs-node-3-evaluate.jsonl": "new\n"}


def test_of_a_long_log_the_end(context, log, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 4)
    found = AttemptLogs(context.run_dir)
    log.write_text("0123456789")
    found.upload(context.attempt, 0, str)
    assert parts(context, tmp_path) == {"logs-node-0-train.jsonl": "6789"}


def test_a_store_that_fails_changes_nothing(context, log, monkeypatch, caplog):
    def fail(*_):
        raise UnavailableError("503")

    monkeypatch.setattr(type(context.attempt), "write_part", fail)
    found = AttemptLogs(context.run_dir)
    log.write_text("x")
    found.upload(context.attempt, 0, str)
    assert "could not be written to the store: 503" in caplog.text
