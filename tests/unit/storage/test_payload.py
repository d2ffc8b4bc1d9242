import pytest

from job.errors import CrashError, UnusableError
from job.storage import payload
from job.storage.local import LocalStore
from job.storage.log import LogEntry
from job.storage.s3 import S3Store
from tests.support.servers.scripted import Fault


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def s3_store(bucket):
    return S3Store(bucket, "run/")


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


def test_what_was_damaged_on_the_way_is_fetched_once_more(store, folder, tmp_path, monkeypatch):
    (folder / "other").write_bytes(b"other")
    entry = put(store, folder)
    manifest = payload.read_manifest(store, entry)
    read, asked = LocalStore.read_file, []

    def damaged_once(self, key, path):
        read(self, key, path)
        if key == "p/file" and key not in asked:
            path.write_bytes(b"c0ntent")
        asked.append(key)

    monkeypatch.setattr(LocalStore, "read_file", damaged_once)
    payload.download(store, entry, manifest, tmp_path / "back")
    assert (tmp_path / "back" / "file").read_bytes() == b"content"
    assert asked == ["p/file", "p/other", "p/file"]


def test_a_damaged_range_of_what_was_uploaded_in_parts_is_made_good(s3, tmp_path, s3_store, folder):
    """Such an object has no MD5 of the whole: its manifest is all there is to compare it with."""
    (folder / "file").write_bytes(bytes(3000))
    entry = put(s3_store, folder)
    manifest = payload.read_manifest(s3_store, entry)
    assert "-" in s3.etags["run/p/file"]
    s3.faults += [Fault("GET", truncate=True), Fault("GET", flip=True)]
    payload.download(s3_store, entry, manifest, tmp_path / "back")
    assert (tmp_path / "back" / "file").read_bytes() == bytes(3000)
