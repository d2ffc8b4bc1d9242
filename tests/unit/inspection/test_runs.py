import pytest

from job.inspection import runs
from job.storage.commit import RunLog
from job.storage.local import LocalStore


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def shown(store):
    text, code = runs.show(str(store.root))
    assert code == 0
    return text.splitlines()


def test_attempts_steps_and_reasons(store, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "state.json").write_text("{}")
    first = RunLog(store, "run").start("settings")
    second = RunLog(store, "run").start("settings")
    second.commit_checkpoint(tmp_path / "made", {"step": 10})
    second.commit_checkpoint(tmp_path / "made", {"step": 20})
    second.failed({"code": 71, "message": "No worker made progress." * 9})
    third = RunLog(store, "run").start("settings")
    head, one, two, three = shown(store)
    assert head.startswith("run: running, or ended without a word, 3 attempt(s), last commit step 20 at ")
    assert one.startswith(f"  attempt 1 ({first.nonce})")
    assert one.endswith("no commit; ended without a word, a newer attempt took over")
    assert "steps 10 to 20 in 2 commit(s); failed with 71 (stalled) at" in two
    assert two.endswith("." + "No worker made progress."[:4] + "...")
    assert three.startswith(f"  attempt 3 ({third.nonce})")
    assert three.endswith("no commit; running, or ended without a word")


@pytest.mark.parametrize(("kind", "said"), [("stopped", "stopped"), ("complete", "complete")])
def test_states(store, kind, said):
    attempt = RunLog(store, "run").start("settings")
    attempt.append(kind)
    head, line = shown(store)
    assert head == f"run: {said}, 1 attempt(s), no commit"
    assert f"no commit; {said} at 20" in line
    assert not line.endswith(": ")
