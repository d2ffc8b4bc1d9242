"""The protocol's own tests are in tests/contract; here is what needs no store to speak of."""

from pathlib import Path

import pytest

from job.errors import DeniedError, FencedError, SettingsError, UnavailableError, UnusableError
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

    monkeypatch.setattr(LocalStore, "open_uploads", forbid)
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


def saved(attempt, tmp_path, step):
    """A checkpoint as the uploader commits it."""
    folder = tmp_path / f"made-{step}"
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text(str(step))
    attempt.commit_checkpoint(folder, {"step": step})
    attempt.retain(1)


def steps_in(store):
    return sorted({int(info.key.partition("/step-")[2][:10]) for info in store.list("run/attempts/") if "/step-" in info.key})


@pytest.fixture
def refusing(monkeypatch):
    """Deletions fail for as long as it is not empty."""
    delete, why = LocalStore.delete, []

    def maybe(self, key):
        if why:
            raise UnavailableError("503")
        delete(self, key)

    monkeypatch.setattr(LocalStore, "delete", maybe)
    return why


def leave_a_deletion(attempt, tmp_path, refusing):
    """Step 2 is committed, and the deletion of step 1 announced; the store refused to do it."""
    saved(attempt, tmp_path, 1)
    refusing.append("503")
    with pytest.raises(UnavailableError):
        saved(attempt, tmp_path, 2)
    refusing.clear()


def test_an_attempt_finishes_a_deletion_that_failed(store, tmp_path, refusing):
    attempt = RunLog(store, "run").start("f")
    leave_a_deletion(attempt, tmp_path, refusing)
    assert attempt.retain(1) == 0
    assert steps_in(store) == [2]


def test_a_start_finishes_every_deletion_not_only_the_last(store, tmp_path, refusing):
    """Also of attempts before the last, and what was left by a version that forgot it."""
    run = RunLog(store, "run")
    attempt = run.start("f")
    leave_a_deletion(attempt, tmp_path, refusing)
    attempt._deleted |= set(attempt.entries[-1]["manifests"])  # forgotten
    for step in (3, 4, 5):
        saved(attempt, tmp_path, step)
    assert steps_in(store) == [1, 5]
    begun = run.start("f")
    assert steps_in(store) == [5]
    saved(begun, tmp_path, 6)
    assert steps_in(store) == [6]


def test_two_attempts_may_finish_the_same_deletion_at_once(store, tmp_path, refusing, monkeypatch):
    run = RunLog(store, "run")
    attempt = run.start("f")
    leave_a_deletion(attempt, tmp_path, refusing)
    stat = Path.stat

    def removed_first(path, **options):
        if path.name == "file" and "step-0000000001" in path.parts:
            path.unlink(missing_ok=True)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", removed_first)
    assert run.start("f").number == 2
    assert steps_in(store) == [2]


def test_a_store_that_lists_no_uploads_is_cleaned_of_the_rest(store, tmp_path, refusing, monkeypatch, caplog):
    run = RunLog(store, "run")
    attempt = run.start("f")
    leave_a_deletion(attempt, tmp_path, refusing)

    def refuse(*_):
        raise SettingsError("501 NotImplemented")

    monkeypatch.setattr(LocalStore, "open_uploads", refuse)
    assert run.start("f").number == 2
    assert steps_in(store) == [2]
    assert "501" in caplog.text
