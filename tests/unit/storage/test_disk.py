import errno
import hashlib
import os

import pytest

from job.errors import LocalIOError
from job.storage import disk
from job.storage.base import MissingObjectError


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EPERM, errno.ENOTSUP, errno.EXDEV])
def test_errors_of_the_disk_are_ours(code):
    with pytest.raises(LocalIOError, match="/some/file"), disk.border("key"):
        raise OSError(code, os.strerror(code), "/some/file")


def test_only_a_reader_misses_an_object(tmp_path):
    with pytest.raises(MissingObjectError), disk.border("key"):
        (tmp_path / "x").read_bytes()
    with pytest.raises(LocalIOError), disk.border("key", writing=True):
        (tmp_path / "x" / "y").write_bytes(b"")


def test_other_errors_pass():
    with pytest.raises(KeyError), disk.border("key"):
        raise KeyError


def test_nothing_temporary_stays(tmp_path):
    target = tmp_path / "name"
    with disk.temporary_beside(target) as temporary:
        temporary.write_bytes(b"x")
        temporary.replace(target)
    with pytest.raises(ValueError, match="stop"), disk.temporary_beside(target) as temporary:
        temporary.write_bytes(b"y")
        raise ValueError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["name"]


def test_copy_and_hash(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(os.urandom(3 * 1024 * 1024 + 7))
    assert disk.copy(source, target) == disk.sha256_of(target) == hashlib.sha256(source.read_bytes()).hexdigest()
    with pytest.raises(FileExistsError):
        disk.copy(source, target)


def test_folders_are_made_all_the_way(tmp_path):
    disk.make_folder(tmp_path / "a" / "b" / "c")
    disk.make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_a_folder_that_cannot_be_synced_by_hand_is_fine_and_a_file_is_not(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    disk.sync(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="Invalid"):
        disk.sync(tmp_path / "file")


def test_the_md5_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    assert disk.md5_of(tmp_path / "file") == hashlib.md5(b"content").hexdigest()
