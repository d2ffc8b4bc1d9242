import pytest

from job.inspection import verify
from job.storage.commit import RunLog
from job.storage.local import LocalStore


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def run(store, tmp_path):
    """A run of one commit, with an object that nobody lists; its attempt."""
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "state.json").write_text("{}")
    attempt = RunLog(store, "run").start("settings")
    attempt.commit_checkpoint(tmp_path / "made", {"step": 10})
    store.write_bytes(f"run/attempts/{attempt.nonce}/checkpoints/step-0000000020/state.json", b"half")
    return attempt


def shown(store, *, contents=True, repair=False):
    return verify.show(str(store.root), contents=contents, repair=repair)


def test_what_may_be_under_way_is_left_alone(store, run):
    text, code = shown(store, repair=True)
    assert code == 0
    assert "run: whole, 2 log entries" in text
    assert "checkpoint of step 10, 2 bytes, attempt 1: whole" in text
    assert "not listed, of the attempt that may be writing now (left alone): 1 object(s), 4 bytes" in text
    assert "removed 0 orphaned object(s) or open upload(s)" in text


def test_orphans_are_offered_and_removed(store, run):
    run.stopped()
    text, code = shown(store)
    assert (code, "`job verify --repair` removes the orphaned ones" in text) == (0, True)
    assert "removed 1 orphaned object(s)" in shown(store, repair=True)[0]
    assert "orphaned" not in shown(store)[0]


def test_open_uploads_and_what_a_check_left_are_shown(store, run):
    (store.root / "run/attempts" / run.nonce / ".tmp-1-model").write_bytes(b"half")
    run.stopped()
    store.write_bytes("run/probe-0123456789abcdef/once", b"first")
    text, _ = shown(store)
    assert f"uploads begun and never ended: 1\n    run/attempts/{run.nonce}/.tmp-1-model" in text
    assert "cut off or running now (left alone): 1 object(s), 5 bytes\n    run/probe-0123456789abcdef/once" in text
    assert "removed 2 orphaned object(s) or open upload(s)" in shown(store, repair=True)[0]
    text, _ = shown(store)
    assert "never ended" not in text
    assert "run/probe-0123456789abcdef/once" in text


def test_damage_is_code_78(store, run, tmp_path):
    (tmp_path / "store/run/attempts" / run.nonce / "checkpoints/step-0000000010/state.json").write_text("[]")
    text, code = shown(store)
    assert code == 78
    assert "run: DAMAGED" in text
    assert "attempt 1: state.json has the right size but other content" in text
    assert shown(store, contents=False)[1] == 0


def test_a_broken_log_does_not_hide_the_other_runs(store, run, tmp_path):
    RunLog(store, "whole").start("settings")
    (tmp_path / "store/run/log/0000000001.json").unlink()
    text, code = shown(store)
    assert code == 78
    assert "run: UNUSABLE. The run's log" in text
    assert "whole: whole, 1 log entries" in text
