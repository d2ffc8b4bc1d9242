"""A checkpoint that several nodes upload: each its own files and then the list of them; the main node joins the lists.

    <checkpoint>/parts/<node>.json      which files of the checkpoint are that node's, with sizes and hashes

No collective takes part: the store is where the nodes' uploads meet, and the manifest names what all of them brought.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from job.errors import UnusableError
from job.storage.base import MissingObjectError, Store
from job.storage.keys import check_key
from job.storage.manifest import FileEntry, hash_tree
from job.storage.payload import upload_files

SCHEMA = 1


def key_of(prefix: str, node: int) -> str:
    return f"{prefix}parts/{node}.json"


def put_part(store: Store, prefix: str, folder: Path, node: int) -> None:
    """Upload what a node wrote of a checkpoint, then say that it is there."""
    entries = [dataclasses.replace(entry, node=node) for entry in hash_tree(folder)]
    upload_files(store, prefix, folder, entries)
    part = {"schema": SCHEMA, "node": node, "files": [dataclasses.asdict(entry) for entry in entries]}
    store.write_bytes(key_of(prefix, node), json.dumps(part, indent=1, sort_keys=True).encode() + b"\n")


def gather(store: Store, prefix: str, num_nodes: int, waiting: Callable[[list[int]], None]) -> list[FileEntry]:
    """What all nodes but the main one uploaded, as soon as the last of them has.

    Args:
        store: where they upload to.
        prefix: the checkpoint's.
        num_nodes: of the run.
        waiting: called between two looks with the nodes that are still missing; waits a little, and may raise.

    Raises:
        UnusableError: when a part is damaged.
    """
    missing, found = list(range(1, num_nodes)), []
    while missing:
        there = {node: entries for node in missing if (entries := _read(store, prefix, node)) is not None}
        found += [entry for entries in there.values() for entry in entries]
        missing = [node for node in missing if node not in there]
        if missing:
            waiting(missing)
    return found


def _read(store: Store, prefix: str, node: int) -> list[FileEntry] | None:
    """A node's part; None when it is not there yet."""
    try:
        data = store.read_bytes(key_of(prefix, node))
    except MissingObjectError:
        return None
    try:
        part = json.loads(data)
        entries = [FileEntry(**entry) for entry in part["files"]]
        theirs = part["schema"] == SCHEMA and {entry.node for entry in entries} == {node}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnusableError(f"The part of node {node} is damaged ({type(error).__name__}).") from error
    if not theirs:
        raise UnusableError(f"The part of node {node} is another's, or of another version of the job.")
    for entry in entries:
        check_key(entry.path)
    return entries
