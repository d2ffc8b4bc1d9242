"""The protocol's own tests are in tests/contract; here is what needs no store to speak of."""

import pytest

from job.errors import DeniedError, FencedError, UnavailableError, UnusableError
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


@pytest.fixture
def folders(tmp_path):
    """What two nodes wrote of a checkpoint."""
    for node, names in enumerate((["state.json", "optimizer-rank-0.bin"], ["node-1.json", "optimizer-rank-1.bin"])):
        (tmp_path / f"node-{node}").mkdir()
        for name in names:
            (tmp_path / f"node-{node}" / name).write_text(f"{node} {name}")
    return tmp_path / "node-0", tmp_path / "node-1"


FIELDS = {"step": 10, "world_size": 2, "num_nodes": 2, "settings_fingerprint": "f"}


def test_a_node_joins_the_attempt_of_the_main_node(store):
    run = RunLog(store, "run")
    run.start("f")
    begun = run.start("f")
    joined = run.join(begun.nonce)
    assert (joined.number, joined.nonce, joined.entries) == (2, begun.nonce, begun.entries)
    with pytest.raises(UnusableError, match=r"not in the run's log"):
        run.join("unknown")


def test_the_parts_of_two_nodes_are_one_commit(store, folders, tmp_path):
    run = RunLog(store, "run")
    attempt = run.start("f")
    other = run.join(attempt.nonce)
    asked = []

    def waiting(missing):
        asked.append((missing, [entry.kind for entry in run.read()]))
        other.put_part(10, folders[1], 1)

    entry = attempt.commit_checkpoint(folders[0], FIELDS, None, waiting)
    assert asked == [([1], ["started"])]
    assert [found.kind for found in run.read()] == ["started", "committed"]
    point = run.start("f").find_resume(tmp_path / "all", {"settings_fingerprint": "f"})
    assert point.entry == entry
    assert {path.name for path in point.folder.iterdir()} == {
        "state.json",
        "node-1.json",
        "optimizer-rank-0.bin",
        "optimizer-rank-1.bin",
    }


def test_without_all_parts_there_is_no_commit(store, folders):
    attempt = RunLog(store, "run").start("f")
    with pytest.raises(UnavailableError, match=r"parts of nodes \[1\]"):
        attempt.commit_checkpoint(folders[0], FIELDS)
    assert [entry.kind for entry in attempt.log.read()] == ["started"]
    assert not [info for info in store.list("run/") if info.key.endswith("MANIFEST.json")]


def test_what_a_node_cannot_upload_because_the_run_is_lost_is_a_fence(store, folders, monkeypatch):
    run = RunLog(store, "run")
    other = run.join(run.start("f").nonce)
    run.start("f")

    def aborted(*_):
        raise UnavailableError("404 NoSuchUpload")

    monkeypatch.setattr(type(store), "write_file", aborted)
    with pytest.raises(FencedError, match="Attempt 2"):
        other.put_part(10, folders[1], 1)
