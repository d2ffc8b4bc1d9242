import pytest

from job.errors import CrashError, UnusableError
from job.storage import payload
from job.storage.local import LocalStore
from job.storage.log import LogEntry


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "file").write_bytes(b"content")
    return tmp_path / "made"


def put(store, folder, **fields):
    manifest = payload.make_manifest(folder, "checkpoint", {"step": 3, **fields})
    key = payload.upload(store, "p/", folder, manifest)
    return LogEntry(1, "committed", 1, "n", {"step": 3, "manifest": key, "manifest_sha256": manifest.sha256()})


def test_up_and_down(store, folder, tmp_path):
    entry = put(store, folder, world_size=2, settings_fingerprint="s", sources={"a": 1})
    manifest = payload.read_manifest(store, entry)
    assert (manifest.step, manifest.world_size, manifest.settings_fingerprint, manifest.extra) == (3, 2, "s", {"sources": {"a": 1}})
    payload.download(store, entry, manifest, tmp_path / "back")
    assert (tmp_path / "back" / "file").read_bytes() == b"content"


def test_what_lies_there_and_is_right_is_not_fetched_again(store, folder, tmp_path):
    entry = put(store, folder)
    manifest = payload.read_manifest(store, entry)
    payload.download(store, entry, manifest, tmp_path / "back")
    store.delete("p/file")
    payload.download(store, entry, manifest, tmp_path / "back")


def test_a_failure_keeps_what_was_there_and_leaves_nothing_else(store, folder, tmp_path):
    entry = put(store, folder)
    manifest = payload.read_manifest(store, entry)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "old").write_bytes(b"")
    store.delete("p/file")
    with pytest.raises(UnusableError, match="file is missing"):
        payload.download(store, entry, manifest, tmp_path / "back")
    store.write_bytes("p/file", b"CONTENT")
    with pytest.raises(UnusableError, match="other content"):
        payload.download(store, entry, manifest, tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "made", "store"]
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["old"]


def test_a_folder_that_cannot_be_resumed_is_not_committed(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CrashError, match="no file"):
        payload.make_manifest(tmp_path / "empty", "model", {"step": 1})
    (folder / "state-rank-0.json").write_bytes(b"")
    with pytest.raises(CrashError, match=r"ranks \[1\]"):
        payload.make_manifest(folder, "checkpoint", {"step": 1, "world_size": 2})
    (folder / "MANIFEST.json").write_bytes(b"")
    with pytest.raises(CrashError, match="of its own named MANIFEST"):
        payload.make_manifest(folder, "checkpoint", {"step": 1})
