"""What a folder holds, file by file, so that nobody has to trust a store, a disk or a network with it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from job.errors import UnusableError
from job.storage import disk
from job.storage.keys import check_key, path_below
from job.storage.local import LocalStore

MANIFEST_NAME = "MANIFEST.json"
SCHEMA = 1
_RANK_FILE = re.compile(r"(?:^|[/._-])rank[_-]?(\d+)(?=[/._-]|$)")

Kind = Literal["checkpoint", "model"]


@dataclass(frozen=True)
class FileEntry:
    """One file: path relative to the folder with ``/`` between parts, size in bytes, sha256 as hexadecimal digits, the node it is from."""

    path: str
    size_bytes: int
    sha256: str
    node: int = 0


@dataclass(frozen=True)
class Manifest:
    """A folder's content and what it belongs to.

    ``world_size`` is the number of ranks that wrote it; files named after a rank (``optimizer-rank-0.safetensors``) must be there
    for all of them.  ``num_nodes`` is the number of nodes that uploaded it; each has at least one file.  ``extra`` holds whatever else the writer wants to find again, as JSON values.
    """

    kind: Kind
    step: int
    files: tuple[FileEntry, ...]
    world_size: int = 1
    num_nodes: int = 1
    settings_fingerprint: str = ""
    data_fingerprint: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.files)

    def to_bytes(self) -> bytes:
        """The manifest as JSON, the same bytes for equal manifests."""
        return (
            json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
        )

    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read what `to_bytes` wrote.

        Raises:
            UnusableError: when it is damaged, of another schema, or names a file outside its folder.
        """
        try:
            values = json.loads(data)
            schema = values.pop("schema")
            if schema != SCHEMA:
                raise UnusableError(f"The manifest has schema {schema}; this version of the job reads {SCHEMA}.")
            files = tuple(FileEntry(**entry) for entry in values.pop("files"))
            manifest = cls(files=files, **values)
            if not (_is_of_its_types(manifest) and all(map(_is_of_its_types, files))):
                raise UnusableError("The manifest is damaged: a value is of another kind than it has to be.")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UnusableError(f"The manifest is damaged: {type(error).__name__}.") from error
        for entry in manifest.files:
            check_key(entry.path)
        return manifest


def _is_of_its_types(record: Manifest | FileEntry) -> bool:
    """Whether texts are texts, and numbers whole numbers, as the fields' annotations say."""
    kinds = {"str": str, "int": int}
    return all(
        type(getattr(record, each.name)) is kinds[str(each.type)] for each in dataclasses.fields(record) if str(each.type) in kinds
    )


def hash_tree(folder: Path) -> tuple[FileEntry, ...]:
    """Every file below ``folder`` in path order.

    Raises:
        DataError: on a link to a folder, or something that is no regular file.
        LocalIOError: when a file cannot be read.
    """
    found = [*LocalStore(folder).list("")]
    with disk.border(str(folder), writing=True):
        return tuple(FileEntry(info.key, info.size_bytes, disk.sha256_of(folder / info.key)) for info in found)


def verify_tree(folder: Path, manifest: Manifest) -> list[str]:
    """What is wrong with a folder, in words; empty when every file of the manifest is there, and none besides."""
    with disk.border(str(folder), writing=True):
        problems = [problem for entry in manifest.files if (problem := _wrong(path_below(folder, entry.path), entry))]
    unknown = {info.key for info in LocalStore(folder).list("")} - {entry.path for entry in manifest.files}
    return problems + [f"{path} is not in the manifest" for path in sorted(unknown)]


def wrong_files(folder: Path, manifest: Manifest) -> list[FileEntry]:
    """The files of the manifest that the folder has not as they should be."""
    with disk.border(str(folder), writing=True):
        return [entry for entry in manifest.files if _wrong(path_below(folder, entry.path), entry)]


def missing_ranks(manifest: Manifest) -> list[int]:
    """The ranks whose files are not all there: for every kind of file that is named after ranks, one is needed for each rank."""
    ranks_by_kind: dict[str, set[int]] = {}
    for entry in manifest.files:
        if found := _RANK_FILE.search(entry.path):
            kind = entry.path[: found.start(1)] + entry.path[found.end(1) :]
            ranks_by_kind.setdefault(kind, set()).add(int(found[1]))
    expected = set(range(manifest.world_size))
    return sorted(set().union(*(expected ^ ranks for ranks in ranks_by_kind.values())))


def missing_nodes(manifest: Manifest) -> list[int]:
    """The nodes that have no file in it."""
    return sorted(set(range(manifest.num_nodes)) - {entry.node for entry in manifest.files})


def tree_digest(entries: Iterable[FileEntry]) -> str:
    """sha256 over paths, sizes and hashes, in path order: equal only for equal folders."""
    lines = (f"{entry.path}\0{entry.size_bytes}\0{entry.sha256}\n" for entry in sorted(entries, key=lambda entry: entry.path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _wrong(path: Path, entry: FileEntry) -> str:
    if not path.is_file():
        return f"{entry.path} is missing"
    size = path.stat().st_size
    if size != entry.size_bytes:
        return f"{entry.path} has {size} bytes instead of {entry.size_bytes}"
    return "" if disk.sha256_of(path) == entry.sha256 else f"{entry.path} has the right size but other content"
