import shutil

import pytest

from job.errors import DataError, LocalIOError, SettingsError
from job.storage.base import ObjectInfo
from job.storage.local import LocalStore
from job.storage.manifest import tree_digest
from job.storage.transfer import expand, fetch_files, fetch_tree, fetch_uri, is_allowed


@pytest.fixture
def data(tmp_path):
    for name in (
        "train/b.csv",
        "train/a.csv",
        "train/sub/c.csv",
        "train/.hidden",
        "train/_SUCCESS",
        "train/_committed_1",
        "train/.git/x",
        "other.csv",
    ):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    return tmp_path / "data"


def test_a_folder_without_what_tools_leave_in_it(data, tmp_path):
    entries = fetch_tree(str(data / "train"), tmp_path / "to")
    assert [entry.path for entry in entries] == ["a.csv", "b.csv", "sub/c.csv"]
    assert sorted(path.name for path in (tmp_path / "to").rglob("*")) == ["a.csv", "b.csv", "c.csv", "sub"]


def test_the_record_of_an_input(data, tmp_path):
    source = fetch_uri(f"{data}/train/*.csv", tmp_path / "to")
    assert (source.uri, source.num_files, source.size_bytes) == (f"{data}/train/*.csv", 2, 22)
    assert source.sha256 == tree_digest(fetch_tree(str(data / "train"), tmp_path / "again", allow=["*.csv"]))


def test_a_single_file_does_not_look_at_its_neighbours(data, tmp_path):
    (data / "loop").symlink_to(data)
    assert [entry.path for entry in fetch_tree(str(data / "other.csv"), tmp_path / "to")] == ["other.csv"]
    assert [entry.path for entry in fetch_tree(str(data / "*.csv"), tmp_path / "to2")] == ["other.csv"]


def test_links_to_files_are_followed_as_in_the_hubs_cache(data, tmp_path):
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "config.json").symlink_to(data / "other.csv")
    fetch_tree(str(tmp_path / "snapshot"), tmp_path / "to")
    assert not (tmp_path / "to" / "config.json").is_symlink()


def test_names_that_would_leave_the_folder(data, tmp_path):
    store = LocalStore(data)
    with pytest.raises(DataError, match="object name"):
        fetch_files(store, [ObjectInfo("train/../../x", 1)], "train/", tmp_path / "to")
    with pytest.raises(DataError, match="both an object and a folder"):
        fetch_files(store, [ObjectInfo("a", 1), ObjectInfo("a/b", 1)], "", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_an_object_that_changed_is_said(data, tmp_path):
    with pytest.raises(DataError, match="changed while it was fetched"):
        fetch_files(LocalStore(data), [ObjectInfo("other.csv", 1)], "", tmp_path / "to")


def test_a_disk_that_is_too_small_is_said_first(data, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(LocalIOError, match="9 bytes and 5 are free"):
        fetch_tree(str(data / "other.csv"), tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_nothing_found_names_the_place(data, tmp_path):
    for uri in ("nothing.csv", "*.parquet", "train/nothing/*.csv"):
        with pytest.raises(DataError, match="There is no file at file://"):
            fetch_tree(f"{data}/{uri}", tmp_path / "to")
    (data / "empty").mkdir()
    with pytest.raises(DataError, match="There is no file"):
        expand(LocalStore(data / "empty"), "")


def test_a_hub_name_is_not_fetched_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="no local file or folder org/name"):
        fetch_tree("org/name", tmp_path / "to")


@pytest.mark.parametrize(
    ("path", "allow", "expected"),
    [
        ("config.json", ["*.json"], True),
        ("onnx/config.json", ["*.json"], False),
        ("onnx/config.json", ["**/*.json"], True),
        ("config.json", ["**/*.json"], True),
        ("a.bin", ["*.json", "*.txt"], False),
        ("a.bin", [], False),
    ],
)
def test_what_is_allowed(path, allow, expected):
    assert is_allowed(path, allow) == expected
