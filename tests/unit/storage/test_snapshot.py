from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from job.errors import DataError, LocalIOError, SettingsError
from job.storage import snapshot
from job.storage.manifest import FileEntry
from job.storage.snapshot import BASE_FILES, DATA_FILES, MODEL_CONFIG_FILES, MODEL_FILES, DamagedFileError, RemoteFile

CONTENT = b"the content of a file\n"


def listed(*paths: str) -> list[RemoteFile]:
    return [RemoteFile(path, 1, "0" * 40) for path in paths]


def chosen(patterns: tuple[str, ...], *paths: str) -> list[str]:
    return [file.path for file in snapshot.wanted(listed(*paths), patterns)]


def of_git(content: bytes, **changed: object) -> RemoteFile:
    sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return RemoteFile(**{"path": "vocab.txt", "size_bytes": len(content), "git_sha1": sha1, **changed})


@pytest.mark.parametrize(
    "path", ["config.json", "vocab.txt", "spiece.model", "chat_template.jinja", "model-00001-of-00002.safetensors"]
)
def test_a_model_needs(path: str) -> None:
    assert chosen(MODEL_FILES, path) == [path]


@pytest.mark.parametrize(
    "path",
    [
        "pytorch_model.bin",
        "model.pt",
        "modeling.py",
        "a.pkl",
        "onnx/config.json",
        ".hidden.json",
        "x/.git/y.json",
        "model.fp16.safetensors",
    ],
)
def test_a_model_does_not_need(path: str) -> None:
    assert chosen(MODEL_FILES, path) == []


def test_a_configuration_is_a_model_without_its_weights() -> None:
    assert chosen(MODEL_CONFIG_FILES, "model.safetensors", "config.json", "tokenizer.json") == ["config.json", "tokenizer.json"]


@pytest.mark.parametrize("path", ["README.md", "train.csv", "data/en/train-00000-of-00001.parquet", "a/b.jsonl.zst", "t.tsv.gz"])
def test_a_data_set_needs(path: str) -> None:
    assert chosen(DATA_FILES, path) == [path]


@pytest.mark.parametrize("path", ["reviews.py", "docs/README.md", "data/a.zip", "data/a.pkl", ".cache/a.csv", "data/a.csv.xz"])
def test_a_data_set_does_not_need(path: str) -> None:
    assert chosen(DATA_FILES, path) == []


@pytest.mark.parametrize("path", ["../../etc/cron.csv", "a/../../b.csv", "/etc/a.csv", "a//b.csv", "a\\..\\b.csv", "a\0.csv"])
def test_a_path_that_leaves_the_folder_is_refused(path: str) -> None:
    with pytest.raises(DataError, match="cannot be a file name below a folder"):
        chosen(DATA_FILES, path)


def test_the_hash_of_small_files_is_what_git_says(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    said = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True, check=True).stdout.strip()
    assert snapshot.verify(RemoteFile("file", len(CONTENT), said), path) == FileEntry("file", len(CONTENT), sha256)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("arrived", [CONTENT[:-1], b"x" + CONTENT[1:], CONTENT + b"x", b""])
def test_another_content_is_damage(tmp_path: Path, arrived: bytes, large: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(arrived)
    file = of_git(CONTENT, sha256=hashlib.sha256(CONTENT).hexdigest() if large else None)
    with pytest.raises(DamagedFileError, match=r"vocab\.txt arrived with"):
        snapshot.verify(file, path)
    path.write_bytes(CONTENT)
    assert snapshot.verify(file, path).sha256 == hashlib.sha256(CONTENT).hexdigest()


def check(kind: str, patterns: tuple[str, ...], *paths: str) -> None:
    snapshot.check_usable(kind, paths, patterns, "JOB_X")


def test_what_cannot_be_used_is_told_before_anything_is_downloaded() -> None:
    check("model", MODEL_FILES, "config.json", "model.safetensors")
    check("model", MODEL_CONFIG_FILES, "config.json")
    check("dataset", DATA_FILES, "a.csv")
    with pytest.raises(SettingsError, match=r"JOB_X holds no model.safetensors: only safetensors .* save_pretrained"):
        check("model", MODEL_FILES, "config.json")
    with pytest.raises(SettingsError, match=r"JOB_X holds no config\.json"):
        check("model", MODEL_FILES, "model.safetensors")
    check("model", MODEL_FILES, "adapter_config.json", "adapter_model.safetensors")
    with pytest.raises(SettingsError, match=r"JOB_X holds an adapter without adapter_model\.safetensors"):
        check("model", MODEL_FILES, "adapter_config.json", "tokenizer.json")
    for patterns in (BASE_FILES, MODEL_CONFIG_FILES):
        with pytest.raises(SettingsError, match="JOB_X holds an adapter, where a whole model is needed"):
            check("model", patterns, "adapter_config.json", "adapter_model.safetensors")
    with pytest.raises(DataError, match=r"JOB_X holds no Parquet.* scripts are not run"):
        check("dataset", DATA_FILES, "README.md")


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    folder = tmp_path / "inputs" / "model"
    with snapshot.replacing(folder, 0) as temporary:
        (temporary / "a").touch()
        assert not folder.exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["inputs", "model", "a"]


def test_a_failure_leaves_the_earlier_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(RuntimeError), snapshot.replacing(folder, 0) as temporary:
        (temporary / "new").touch()
        raise RuntimeError
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["model", "old"]


def test_a_disk_that_is_too_small_is_told_first(tmp_path: Path) -> None:
    with (
        pytest.raises(LocalIOError, match=r"need 1152921504606846976 bytes and .* are free"),
        snapshot.replacing(tmp_path / "m", 2**60),
    ):
        pytest.fail("began to download")
    assert not list(tmp_path.iterdir())
