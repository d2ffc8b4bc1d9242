"""What of a Hub repository is wanted, and whether it arrived intact.  No network here.

Only formats that cannot run code are ever chosen: safetensors for weights, plain tables and texts for data.  Pickles
(``*.bin``, ``*.pt``), Python files and loading scripts are not downloaded at all, so nothing later can open them by
mistake.  The client library compares sizes only, so every file is hashed here before anyone reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from job.errors import DataError, LocalIOError, SettingsError, UnavailableError
from job.run_dir import TEMPORARY_PREFIX
from job.storage.keys import check_key
from job.storage.manifest import FileEntry

_TABLES = ("*.parquet", "*.csv", "*.tsv", "*.json", "*.jsonl", "*.txt")

MODEL_CONFIG_FILES = ("*.json", "*.txt", "*.model", "*.jinja")
"""Configuration and tokenizer, at the top of the repository; exports in sub-folders are not ours."""
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MODEL_FILES = (*MODEL_CONFIG_FILES, "model.safetensors", "model-*.safetensors", ADAPTER_WEIGHTS)
"""The same with the weights under the names transformers loads, whole or in shards, without variants beside them; or an adapter's."""
BASE_FILES = tuple(name for name in MODEL_FILES if name != ADAPTER_WEIGHTS)
"""A model that an adapter is put on: it may not be an adapter itself."""
DATA_FILES = ("README.md", *(f"**/{table}{packed}" for table in _TABLES for packed in ("", ".gz", ".zst")))
"""Tables and texts in any folder, and the card, which names the splits."""

_WEIGHTS = ".safetensors"
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class RemoteFile:
    """One file as the repository lists it: large ones by the sha256 of their content, others by git's blob sha1."""

    path: str
    size_bytes: int
    git_sha1: str
    sha256: str | None = None


class DamagedFileError(UnavailableError):
    """A file arrived, but is not the file the repository lists."""


def wanted(files: Iterable[RemoteFile], patterns: Iterable[str]) -> list[RemoteFile]:
    """The files that match one of the patterns, in path order.

    A pattern is for the top folder; behind ``**/`` it is for any folder.  Names that begin with a dot never match.

    Raises:
        DataError: when a wanted file's path would leave the folder it is downloaded to.
    """
    patterns = tuple(patterns)
    chosen = sorted((file for file in files if _matches(file.path, patterns)), key=lambda file: file.path)
    for file in chosen:
        check_key(file.path)
    return chosen


def verify(file: RemoteFile, path: Path) -> FileEntry:
    """Compare a downloaded file with what the repository lists; what it is.

    Raises:
        DamagedFileError: when size or hash differ.
    """
    size_bytes = path.stat().st_size
    if size_bytes != file.size_bytes:
        raise DamagedFileError(f"{file.path} arrived with {size_bytes} bytes instead of {file.size_bytes}")
    sha256 = hashlib.sha256()
    # git's object name, not a signature: the sha1 of a header and the content.
    git_sha1 = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha256.update(chunk)
            if file.sha256 is None:
                git_sha1.update(chunk)
    found, listed = (git_sha1.hexdigest(), file.git_sha1) if file.sha256 is None else (sha256.hexdigest(), file.sha256)
    if found != listed:
        raise DamagedFileError(f"{file.path} arrived with the right size but another content: hash {found}, listed {listed}")
    return FileEntry(file.path, size_bytes, sha256.hexdigest())


def check_usable(kind: str, files: Iterable[str], patterns: Iterable[str], variable: str) -> None:
    """Whether the wanted files of a repository or folder can make a model, or a data set.

    Raises:
        SettingsError: a model repository without config.json, or without safetensors where the patterns ask for weights.
        DataError: a data set without tables or texts.
    """
    paths = set(files)
    if kind == "dataset":
        if not paths - {"README.md"}:
            raise DataError(
                f"The data set in {variable} holds no Parquet, CSV, TSV, JSON or text file; loading scripts are not run.",
                "Many older data sets have a converted branch: add @refs/convert/parquet to the name.",
            )
        return
    if "config.json" not in paths and ADAPTER_CONFIG in paths:
        _check_adapter(paths, patterns, variable)
        return
    if "config.json" not in paths:
        raise SettingsError(
            f"The place in {variable} holds no config.json.",
            f"Point {variable} at the folder or repository of a transformers model, as save_pretrained writes it.",
        )
    if any(pattern.endswith(_WEIGHTS) for pattern in patterns) and not any(path.endswith(_WEIGHTS) for path in paths):
        raise SettingsError(
            f"The place in {variable} holds no model.safetensors: only safetensors weights are accepted, because the "
            "pickles of pytorch_model.bin can run code when they are opened.",
            "Choose a revision that has them, or load the model where you trust it and save it anew with save_pretrained; "
            "JOB_MODEL__FROM_CONFIG=true starts from random weights.",
        )


def _check_adapter(paths: set[str], patterns: Iterable[str], variable: str) -> None:
    """Whether the files make an adapter that a run can start from."""
    if ADAPTER_WEIGHTS not in patterns:
        raise SettingsError(
            f"The place in {variable} holds an adapter, where a whole model is needed.",
            "Give the model that the adapter was made for; JOB_MODEL__FROM_CONFIG goes with whole models only.",
        )
    if ADAPTER_WEIGHTS not in paths:
        raise SettingsError(
            f"The place in {variable} holds an adapter without {ADAPTER_WEIGHTS}: only safetensors weights are accepted.",
            "Load it where you trust it, and save it anew with save_pretrained.",
        )


@contextlib.contextmanager
def replacing(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A temporary folder beside ``folder`` that takes its place on success and is gone on failure.

    Raises:
        LocalIOError: when ``size_bytes`` do not fit on the disk.
    """
    temporary = folder.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{folder.name}")
    temporary.mkdir(parents=True)
    try:
        free_bytes = shutil.disk_usage(temporary).free
        if free_bytes < size_bytes:
            raise LocalIOError(
                f"The inputs need {size_bytes} bytes and {free_bytes} are free.",
                "Free space, or point JOB_RUN__DIR at a larger disk.",
            )
        yield temporary
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    folder, _, name = path.rpartition("/")
    if any(part.startswith(".") for part in path.split("/")) and ".." not in path.split("/"):
        return False
    return any(fnmatchcase(name, pattern.removeprefix("**/")) for pattern in patterns if not folder or pattern.startswith("**/"))
