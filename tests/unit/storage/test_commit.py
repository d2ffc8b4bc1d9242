"""The protocol's own tests are in tests/contract; here is what needs no store to speak of."""

import pytest

from job.errors import DeniedError, UnavailableError
from job.storage.commit import RunLog
from job.storage.local import LocalStore


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def test_attempts_are_numbered_and_their_keys_are_their_own(store):
    run = RunLog(store, "run")
    attempts = [run.start("f", {"place": "here"}) for _ in range(3)]
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert len({attempt.nonce for attempt in attempts}) == 3
    assert [entry["settings_fingerprint"] for entry in run.read()] == ["f"] * 3


def test_a_metric_that_is_no_number_is_none(store, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "file").write_bytes(b"x")
    attempt = RunLog(store, "run").start("f")
    for value in (float("nan"), float("inf"), None):
        entry = attempt.commit_checkpoint(tmp_path / "made", {"step": 1}, {"name": "x", "value": value, "greater_is_better": True})
        assert entry["metric"]["value"] is None
    assert attempt.commit_checkpoint(tmp_path / "made", {"step": 1})["metric"] is None


def test_cleaning_up_that_is_forbidden_does_not_stop_a_start(store, monkeypatch, caplog):
    run = RunLog(store, "run")
    run.start("f")

    def forbid(*_):
        raise DeniedError("403")

    monkeypatch.setattr(LocalStore, "abort_uploads", forbid)
    assert run.start("f").number == 2
    assert "could not be cleaned up" in caplog.text


def test_a_start_that_gets_no_answer_is_no_start(store, monkeypatch):
    def fail(*_):
        raise UnavailableError("503")

    monkeypatch.setattr(LocalStore, "put_if_absent", fail)
    with pytest.raises(UnavailableError):
        RunLog(store, "run").start("f")
