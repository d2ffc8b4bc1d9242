import os
import shutil
from pathlib import Path

import pytest

from job.errors import DataError, LocalIOError, SettingsError
from job.storage import disk
from job.storage.base import MissingObjectError, abort_uploads
from job.storage.local import LocalStore


@pytest.fixture
def local(tmp_path):
    return LocalStore(tmp_path / "store")


def test_the_uri_is_absolute(local, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert LocalStore(tmp_path / "a b").uri == f"file://{tmp_path}/a%20b"
    assert local.uri.startswith("file:///")


def test_a_write_that_fails_leaves_nothing(local, monkeypatch):
    def fail(_):
        raise OSError(28, "No space left on device", "disk")

    local.write_bytes("folder/kept", b"kept")
    monkeypatch.setattr(disk, "sync", fail)
    for action in (lambda: local.write_bytes("folder/x", b"x"), lambda: local.put_if_absent("folder/x", b"x")):
        with pytest.raises(LocalIOError, match="No space"):
            action()
    assert [path.name for path in (local.root / "folder").iterdir()] == ["kept"]


def test_other_bytes_on_the_disk_are_noticed(local, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setattr(disk, "sha256_of", lambda _: "other")
    with pytest.raises(LocalIOError, match="other bytes"):
        local.write_file("key", tmp_path / "file")
    assert list(local.list("")) == []


def test_everything_is_synced_file_and_folder(local, monkeypatch):
    synced = []
    sync = disk.sync
    monkeypatch.setattr(disk, "sync", lambda path: (synced.append(path), sync(path)))
    local.put_if_absent("log/1", b"x")
    names = [path.name if not path.name.startswith(".tmp-") else "temporary" for path in synced]
    assert names == [local.root.parent.name, "store", "temporary", "log"]


def test_a_link_whose_reply_was_lost_is_ours(local, monkeypatch):
    link = os.link

    def lost(source, target):
        link(source, target)
        raise FileExistsError

    monkeypatch.setattr(os, "link", lost)
    assert local.put_if_absent("key", b"x")
    monkeypatch.undo()
    assert not local.put_if_absent("key", b"y")
    assert local.read_bytes("key") == b"x"


def test_a_file_system_without_hard_links_is_named(local, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(LocalIOError, match="not supported"):
        local.put_if_absent("key", b"x")


def test_nothing_is_left_out_of_a_listing_in_silence(local):
    (local.root / "folder").mkdir(parents=True)
    (local.root / "folder" / "file").write_bytes(b"x")
    (local.root / "file-link").symlink_to(local.root / "folder" / "file")
    assert [info.key for info in local.list("")] == ["file-link", "folder/file"]
    (local.root / "folder-link").symlink_to(local.root / "folder")
    with pytest.raises(DataError, match="folder-link"):
        list(local.list(""))
    assert [info.key for info in local.list("file")] == ["file-link"]
    (local.root / "folder-link").unlink()
    (local.root / "broken").symlink_to("nowhere")
    with pytest.raises(DataError, match="broken"):
        list(local.list(""))


def test_a_folder_that_cannot_be_read_is_no_empty_one(local, monkeypatch):
    local.write_bytes("folder/key", b"x")

    def refuse(_):
        raise PermissionError(13, "Permission denied", "folder")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(LocalIOError, match="Permission denied"):
        list(local.list("folder/"))


def test_links_do_not_lead_out(local, tmp_path):
    (tmp_path / "outside").mkdir()
    local.root.mkdir()
    (local.root / "way").symlink_to(tmp_path / "outside")
    for action in (lambda: local.write_bytes("way/x", b""), lambda: local.read_bytes("way/x"), lambda: list(local.list("way/"))):
        with pytest.raises(DataError, match="symbolic link"):
            action()
    assert not list((tmp_path / "outside").iterdir())


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError, match="is a file"):
        list(LocalStore(tmp_path / "file").list(""))
    with pytest.raises(LocalIOError):
        LocalStore(tmp_path / "file").write_bytes("x", b"")


def test_a_folder_is_no_object(local):
    local.write_bytes("folder/key", b"")
    for action in (lambda: local.read_bytes("folder"), lambda: local.read_file("folder", local.root / "x")):
        with pytest.raises(MissingObjectError):
            action()


def test_an_emptied_folder_goes(local):
    local.write_bytes("a/b/1", b"")
    local.write_bytes("a/b/2", b"")
    local.delete("a/b/1")
    assert (local.root / "a" / "b").is_dir()
    local.delete("a/b/2")
    assert not (local.root / "a" / "b").exists()
    assert local.root.is_dir()


def test_a_file_that_goes_while_it_is_listed_is_left_out(local, monkeypatch):
    for key in ("a/1", "a/2", "b/3"):
        local.write_bytes(key, b"x")
    stat = Path.stat

    def removed_first(path, **options):
        if path.name == "2":
            path.unlink(missing_ok=True)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", removed_first)
    assert [info.key for info in local.list("")] == ["a/1", "b/3"]
    monkeypatch.undo()
    local.write_bytes("a/2", b"x")
    monkeypatch.setattr(Path, "is_file", lambda path: path.exists() and path.unlink() is None)
    assert list(local.glob("a/*")) == []


def test_a_folder_that_goes_while_it_is_walked_is_left_out(local, monkeypatch):
    scandir = os.scandir

    def removed_first(folder):
        if str(folder).endswith("/gone"):  # rmtree itself walks by descriptors
            shutil.rmtree(folder, ignore_errors=True)
        return scandir(folder)

    for action, found in ((lambda: [info.key for info in local.list("")], ["kept/1"]), (lambda: abort_uploads(local, ""), 1)):
        local.write_bytes("gone/1", b"x")
        local.write_bytes("kept/1", b"x")
        (local.root / "kept" / ".tmp-1").write_bytes(b"x")
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", removed_first)
            assert action() == found


def test_an_entry_of_an_unknown_kind_that_is_gone_is_left_out(local, monkeypatch):
    """Some file systems do not tell the kind with the name, and then it takes a second look."""
    local.write_bytes("a", b"x")
    entries = [*os.scandir(local.root)]
    (local.root / "a").unlink()

    class Gone:
        name, path = entries[0].name, entries[0].path

        def is_dir(self, **_):
            return False

        def is_file(self):
            return False

    class Scan(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(os, "scandir", lambda _: Scan([Gone()]))
    assert list(local.list("")) == []
