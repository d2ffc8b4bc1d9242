import pytest

from job.errors import UnusableError
from job.storage import payload
from job.storage.local import LocalStore
from job.storage.log import LogEntry
from job.storage.resume import find_resume


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def commit(store, tmp_path):
    """``commit(step)``: the log entry of a commit in the store."""

    def make(step, kind="checkpoint", **fields):
        folder = tmp_path / f"made-{step}"
        folder.mkdir()
        (folder / "file").write_bytes(b"%d" % step)
        manifest = payload.make_manifest(folder, kind, {"step": step, "settings_fingerprint": "s", **fields})
        key = payload.upload(store, f"step-{step}/", folder, manifest)
        return LogEntry(step, "committed", 1, "n", {"step": step, "manifest": key, "manifest_sha256": manifest.sha256()})

    return make


def test_no_commit_is_a_fresh_start(store, tmp_path):
    assert find_resume(store, [], tmp_path / "x", {}) is None
    assert find_resume(store, [LogEntry(1, "started", 1, "n"), LogEntry(2, "failed", 1, "n")], tmp_path / "x", {}) is None


def test_the_newest_that_fits_is_taken(store, commit, tmp_path, caplog):
    entries = [commit(1), commit(2), commit(3, settings_fingerprint="other")]
    point = find_resume(store, entries, tmp_path / "x", {"settings_fingerprint": "s"})
    assert (point.step, point.entry, (point.folder / "file").read_bytes()) == (2, entries[1], b"2")
    assert "step 3 (attempt 1): it was made with another settings fingerprint" in caplog.text


@pytest.mark.parametrize("wrong", ["kind", "step", "deleted"])
def test_what_cannot_be_used_is_said(store, commit, tmp_path, wrong):
    entry = commit(1, kind="model" if wrong == "kind" else "checkpoint")
    if wrong == "step":
        entry = LogEntry(1, "committed", 1, "n", {**entry.fields, "step": 9})
    entries = [entry]
    if wrong == "deleted":
        entries.append(LogEntry(2, "deleted", 1, "n", {"manifests": [entry["manifest"]]}))
    with pytest.raises(UnusableError, match="All were deleted" if wrong == "deleted" else "something else"):
        find_resume(store, entries, tmp_path / "x", {})


def test_a_long_list_of_reasons_is_cut(store, commit, tmp_path):
    entries = [commit(step) for step in range(1, 9)]
    with pytest.raises(UnusableError, match=r"8 checkpoints.*step 8.*step 4.*and 3 more"):
        find_resume(store, entries, tmp_path / "x", {"data_fingerprint": "d"})


def test_a_part_that_is_missing_is_said(store, commit, tmp_path, monkeypatch):
    monkeypatch.setattr(payload, "missing_nodes", lambda _: [])
    with pytest.raises(UnusableError, match=r"the parts of nodes \[1, 2\] are not there"):
        find_resume(store, [commit(1, num_nodes=3)], tmp_path / "x", {})
