"""Inputs from a store into a folder: what a location means, and every file verified on arrival."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from job.errors import DataError, LocalIOError, SettingsError
from job.records import InputSource
from job.storage import disk
from job.storage import pattern as patterns
from job.storage.base import ObjectInfo, Store
from job.storage.keys import path_below
from job.storage.manifest import FileEntry, tree_digest
from job.storage.options import StoreOptions
from job.storage.stores import open_store
from job.storage.uri import WILDCARD, parse

_THREADS = 8
_MARKER_NAMES = {"_SUCCESS", "_metadata", "_common_metadata"}
_MARKER_BEGINNINGS = (".", "_committed_", "_started_")
"""What tools leave beside data, and is none: hidden files and the markers of Spark and its kin."""


@runtime_checkable
class PatternStore(Protocol):
    """A store that matches patterns itself, cheaper than by listing everything."""

    def glob(self, pattern: str) -> Iterator[ObjectInfo]:
        """Every object whose key matches, in key order."""
        ...


@dataclass(frozen=True)
class Selection:
    """Objects of a store; their paths in a folder are their keys without ``prefix``."""

    prefix: str
    objects: tuple[ObjectInfo, ...]


def expand(store: Store, pattern: str) -> Selection:
    """What ``pattern`` means: one object of that name, all that match it, or all below it as a folder (empty: the whole store).

    Hidden files and other tools' markers count in no folder and for no wildcard.

    Raises:
        DataError: when it means nothing.
    """
    folder = f"{pattern}/" if pattern else ""
    if pattern and (exact := next((info for info in store.list(pattern)), None)) and exact.key == pattern:
        return Selection(pattern.rpartition("/")[0] + "/" if "/" in pattern else "", (exact,))
    if WILDCARD.search(pattern):
        folder, found = "", store.glob(pattern) if isinstance(store, PatternStore) else _matching(store, pattern)
    else:
        found = (info for info in store.list(folder) if not _is_marker(info.key.removeprefix(folder)))
    objects = tuple(found)
    if not objects:
        raise DataError(f"There is no file at {store.uri}/{pattern}".rstrip("/") + ".", "Check the location in the setting.")
    return Selection(folder, objects)


def fetch_files(store: Store, objects: Sequence[ObjectInfo], prefix: str, folder: Path) -> list[FileEntry]:
    """Download objects below ``folder``, in their order; each appears under its own name when it is whole.

    Raises:
        DataError: when a name would leave the folder, two names need the same path, or an object changed meanwhile.
        LocalIOError: when there is no room.
    """
    paths = [info.key.removeprefix(prefix) for info in objects]
    clash = set(paths) & {str(parent) for path in paths for parent in Path(path).parents}
    if clash:
        raise DataError(f"{min(clash)!r} is both an object and a folder in {store.uri}.", "Rename one of them.")
    targets = [path_below(folder, path) for path in paths]
    with disk.border(str(folder), writing=True):
        folder.mkdir(parents=True, exist_ok=True)
        free, needed = shutil.disk_usage(folder).free, sum(info.size_bytes for info in objects)
    if needed > free:
        raise LocalIOError(
            f"The inputs at {store.uri} need {needed} bytes and {free} are free.", "Point JOB_RUN__DIR at a larger disk."
        )
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch")
    try:
        return list(pool.map(partial(_fetch, store), objects, paths, targets))
    finally:
        # After a stop request nobody waits for the transfers under way: what they write has a temporary name.
        pool.shutdown(wait=False, cancel_futures=True)


def fetch_tree(
    uri: str, folder: Path, options: StoreOptions | None = None, *, allow: Sequence[str] | None = None
) -> list[FileEntry]:
    """Fetch what a local or S3 location means (`expand`) into ``folder``; the files in their order.

    Args:
        uri: a path, ``file://`` or ``s3://`` location: a file, a folder or a pattern.
        folder: where to; created.
        options: how to speak to the store.
        allow: keep only files that match one of these patterns: for the top folder, or behind ``**/`` for any.

    Raises:
        DataError: when nothing is found, or `fetch_files` cannot place it.
        SettingsError: for a Hub repository, which is fetched elsewhere.
    """
    location = parse(uri)
    if location.scheme == "hub":
        raise SettingsError(
            f"There is no local file or folder {uri}, and a Hub repository cannot be read here.",
            "Check the location in the setting.",
        )
    parent, pattern = location.split()
    store = open_store(parent, options)
    selection = expand(store, pattern)
    chosen = [info for info in selection.objects if allow is None or is_allowed(info.key.removeprefix(selection.prefix), allow)]
    if not chosen:
        raise DataError(
            f"None of the {len(selection.objects)} files at {uri} is of a kind that is used here.",
            f"Needed: {', '.join(allow or ())}.",
        )
    return fetch_files(store, chosen, selection.prefix, folder)


def fetch_uri(uri: str, folder: Path, options: StoreOptions | None = None, *, allow: Sequence[str] | None = None) -> InputSource:
    """`fetch_tree`, and what was fetched as the record that is published with the run."""
    return describe(uri, fetch_tree(uri, folder, options, allow=allow))


def describe(uri: str, entries: Sequence[FileEntry]) -> InputSource:
    """The record of an input of these files."""
    return InputSource(uri, "", len(entries), sum(entry.size_bytes for entry in entries), tree_digest(entries))


def is_allowed(path: str, allow: Iterable[str]) -> bool:
    """Whether a path matches one of the patterns: in the top folder, or behind ``**/`` in any."""
    above, _, name = path.rpartition("/")
    return any(fnmatchcase(name, pattern.removeprefix("**/")) for pattern in allow if not above or pattern.startswith("**/"))


def _matching(store: Store, pattern: str) -> Iterator[ObjectInfo]:
    literal = WILDCARD.split(pattern, maxsplit=1)[0]
    expression = re.compile(patterns.translate(pattern))
    return (info for info in store.list(literal) if expression.fullmatch(info.key))


def _is_marker(path: str) -> bool:
    *parents, name = path.split("/")
    return name in _MARKER_NAMES or name.startswith(_MARKER_BEGINNINGS) or any(parent.startswith(".") for parent in parents)


def _fetch(store: Store, info: ObjectInfo, path: str, target: Path) -> FileEntry:
    store.read_file(info.key, target)
    with disk.border(str(target), writing=True):
        size, sha256 = target.stat().st_size, disk.sha256_of(target)
    if size != info.size_bytes:
        raise DataError(
            f"{store.uri}/{info.key} changed while it was fetched: {size} bytes, listed with {info.size_bytes}.",
            "Fetch it when it is complete.",
        )
    return FileEntry(path, size, sha256)
