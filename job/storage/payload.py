"""A folder up to the store, and down again: files first, then the manifest; the log entry that makes it count is the caller's."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from job.errors import CrashError, UnusableError
from job.run_dir import TEMPORARY_PREFIX
from job.storage import disk
from job.storage.base import MissingObjectError, Store
from job.storage.keys import path_below
from job.storage.log import LogEntry
from job.storage.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Kind,
    Manifest,
    hash_tree,
    missing_nodes,
    missing_ranks,
    verify_tree,
    wrong_files,
)
from job.storage.retention import payload_folder

logger = logging.getLogger(__name__)
_FIELDS = {"step", "world_size", "num_nodes", "settings_fingerprint", "data_fingerprint"}


def make_manifest(folder: Path, kind: Kind, fields: Mapping[str, Any], entries: Sequence[FileEntry] | None = None) -> Manifest:
    """The manifest of a folder.

    Args:
        folder: what was, or will be, uploaded.
        kind: what it is.
        fields: of the manifest; what `Manifest` has no name for goes to ``extra``.
        entries: of all nodes, where several upload into it; default: the folder's own.

    Raises:
        CrashError: when the folder holds nothing, two nodes have a file of the same name, a rank's file or a node's part is missing,
            or a file has the manifest's own name.
    """
    known = {name: value for name, value in fields.items() if name in _FIELDS}
    extra = {name: value for name, value in fields.items() if name not in _FIELDS}
    manifest = Manifest(kind=kind, files=_joined(hash_tree(folder) if entries is None else entries), extra=extra, **known)
    names = {entry.path for entry in manifest.files}
    if not names or MANIFEST_NAME in names:
        raise CrashError(
            f"{folder} holds {'a file of its own named ' + MANIFEST_NAME if names else 'no file'}.", "This is a bug in the job."
        )
    if ranks := missing_ranks(manifest):
        raise CrashError(
            f"{folder} is of {manifest.world_size} ranks, and the files of ranks {ranks} do not fit that.",
            "This is a bug in the job.",
        )
    if nodes := missing_nodes(manifest):
        raise CrashError(f"{folder} is of {manifest.num_nodes} nodes, and nodes {nodes} have no part.", "This is a bug in the job.")
    return manifest


def _joined(entries: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """The entries of all nodes in path order."""
    paths = Counter(entry.path for entry in entries)
    if twice := sorted(path for path, count in paths.items() if count > 1):
        raise CrashError(f"Several nodes have a file named {twice[0]}.", "This is a bug in the job.")
    return tuple(sorted(entries, key=lambda entry: entry.path))


def upload(store: Store, prefix: str, folder: Path, manifest: Manifest) -> str:
    """Put the files, confirmed one by one by the store, then the manifest; its key."""
    upload_files(store, prefix, folder, manifest.files)
    return upload_manifest(store, prefix, manifest)


def upload_files(store: Store, prefix: str, folder: Path, entries: Iterable[FileEntry]) -> None:
    """Put files of a folder, confirmed one by one by the store."""
    for entry in entries:
        store.write_file(prefix + entry.path, folder / entry.path)


def upload_manifest(store: Store, prefix: str, manifest: Manifest) -> str:
    """Put the manifest of files that are up; its key."""
    store.write_bytes(prefix + MANIFEST_NAME, manifest.to_bytes())
    return prefix + MANIFEST_NAME


def read_manifest(store: Store, entry: LogEntry) -> Manifest:
    """The manifest that a log entry names.

    Raises:
        UnusableError: when it is gone, or not the one the entry has the hash of.
    """
    try:
        data = store.read_bytes(entry["manifest"])
    except MissingObjectError as error:
        raise UnusableError("its manifest is missing") from error
    if hashlib.sha256(data).hexdigest() != entry["manifest_sha256"]:
        raise UnusableError("its manifest is not the one that was committed")
    return Manifest.from_bytes(data)


def download(store: Store, entry: LogEntry, manifest: Manifest, folder: Path) -> None:
    """Fetch and verify a payload; ``folder`` is replaced when all of it is right.

    A file that arrives with other bytes is fetched once more: a store's checksums do not cover every transfer, and what is damaged
    on the way is whole in the store.

    Raises:
        UnusableError: when a file is missing or differs from the manifest.
    """
    if folder.is_dir() and not verify_tree(folder, manifest):
        return
    temporary = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
    prefix = payload_folder(entry)
    with disk.border(str(folder), writing=True):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            _fetch(store, prefix, temporary, manifest.files)
            if verify_tree(temporary, manifest):
                wrong = wrong_files(temporary, manifest)
                logger.warning(
                    "Fetching again what arrived with other bytes than its manifest says: %s",
                    ", ".join(entry.path for entry in wrong),
                )
                _fetch(store, prefix, temporary, wrong)
                if problems := verify_tree(temporary, manifest):
                    raise UnusableError("; ".join(problems))
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _fetch(store: Store, prefix: str, folder: Path, entries: Iterable[FileEntry]) -> None:
    for entry in entries:
        try:
            store.read_file(prefix + entry.path, path_below(folder, entry.path))
        except MissingObjectError as error:
            raise UnusableError(f"{entry.path.rpartition('/')[2]} is missing") from error
