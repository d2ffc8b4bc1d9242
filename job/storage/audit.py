"""What of a run in a store is committed, whole, left over or orphaned.  Nothing but `Audit.remove_orphans` changes anything."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from job.errors import CrashError, DataError, DeniedError, SettingsError, UnusableError
from job.storage import disk, payload
from job.storage.base import MissingObjectError, ObjectInfo, OpenUpload, Store
from job.storage.log import Log, LogEntry
from job.storage.manifest import FileEntry
from job.storage.probe import PROBE_PREFIX
from job.storage.retention import live_commits, payload_folder

logger = logging.getLogger(__name__)
ENDINGS = ("complete", "stopped", "failed")
"""Entries after which an attempt writes nothing more."""
_LOG_ENTRY = re.compile(r"(?:(.+)/)?log/\d{10}\.json")
_OF_PAYLOAD = re.compile(r"attempts/[0-9a-f]+/(?:checkpoints/step-\d+|model)/")
_OF_ATTEMPT = re.compile(r"attempts/(?P<nonce>[0-9a-f]+)/")


def run_names(store: Store) -> list[str]:
    """The runs below a store's root, by their logs; ``""`` when the root is a run itself."""
    found = (_LOG_ENTRY.fullmatch(info.key) for info in store.list(""))
    return sorted({match[1] or "" for match in found if match})


@dataclass(frozen=True)
class Payload:
    """A checkpoint or model that a log entry names, and what is wrong with it (empty: it is whole)."""

    entry: LogEntry
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """A run as its store has it.

    Attributes:
        payloads: committed checkpoints that were not deleted, and published models, in the log's order.
        announced: objects of checkpoints that the log says are deleted; the next start removes them.
        orphans: objects that no log entry ever listed, of attempts that can write no more.
        pending: the same of the attempt that may be writing right now.
        uploads: those that attempts which can write no more began and never ended.  A listing does not show them, a bill does.
        probes: objects of a start's check of the store that was cut off, or is running now: nothing tells the two apart.
    """

    store: Store
    run_name: str
    entries: list[LogEntry]
    payloads: tuple[Payload, ...]
    announced: tuple[ObjectInfo, ...]
    orphans: tuple[ObjectInfo, ...]
    pending: tuple[ObjectInfo, ...]
    uploads: tuple[OpenUpload, ...]
    probes: tuple[ObjectInfo, ...]

    @property
    def whole(self) -> bool:
        """Whether everything that the log counts on is there."""
        return not any(payload.problems for payload in self.payloads)

    def remove_orphans(self) -> int:
        """Delete the orphans and abort the open uploads; how many.  Manifests go first, so that nothing half deleted looks whole."""
        for info in sorted(self.orphans, key=lambda info: (not info.key.endswith("/MANIFEST.json"), info.key)):
            self.store.delete(info.key)
        for upload in self.uploads:
            upload.abort()
        return len(self.orphans) + len(self.uploads)


def audit(store: Store, run_name: str, *, contents: bool = True) -> Audit:
    """Walk a run.

    Args:
        store: where it lies.
        run_name: which one.
        contents: whether to read every file and compare its hash; else names and sizes only.

    Raises:
        UnusableError: the log itself has a gap, or an entry that cannot be read.
        DeniedError, UnavailableError: as the store says.
    """
    log = Log(store, f"{run_name}/")
    known = log.read()
    uploads = _open_uploads(store, f"{run_name}/attempts/")
    objects = {info.key: info for info in store.list(f"{run_name}/attempts/")}
    # Read again: whoever wrote an object that was listed stands in the log by now, also if it began a moment ago.
    entries = log.read()
    payloads = [
        Payload(entry, tuple(_problems(store, entry, objects, contents)))
        for entry in _counted(entries)
        if entry.number <= len(known)
    ]
    if any(payload.problems for payload in payloads):
        still = {entry.number for entry in _counted(log.read())}
        payloads = [payload for payload in payloads if payload.entry.number in still]
    announced, orphans, pending = (tuple(found) for found in _sort_out(objects.values(), run_name, entries))
    left = tuple(upload for upload in uploads if _attempt_of(upload.key, run_name) != _writing(entries))
    probes = tuple(store.list(f"{run_name}/{PROBE_PREFIX}"))
    return Audit(store, run_name, entries, tuple(payloads), announced, orphans, pending, left, probes)


def _open_uploads(store: Store, prefix: str) -> list[OpenUpload]:
    try:
        return [*store.open_uploads(prefix)]
    except (DeniedError, SettingsError, CrashError) as error:  # not every store lists uploads, and the right to is not required
        logger.warning("Uploads that were never ended could not be looked for: %s", error)
        return []


def _counted(entries: list[LogEntry]) -> list[LogEntry]:
    return [*live_commits(entries), *(entry for entry in entries if entry.kind == "published")]


def _sort_out(
    objects: Iterable[ObjectInfo], run_name: str, entries: list[LogEntry]
) -> tuple[list[ObjectInfo], list[ObjectInfo], list[ObjectInfo]]:
    """Of the objects of no live payload: those announced as deleted, orphans, and those of the attempt that may be writing."""
    deleted = {manifest.rpartition("/")[0] + "/" for entry in entries if entry.kind == "deleted" for manifest in entry["manifests"]}
    listed = {payload_folder(entry) for entry in entries if "manifest" in entry.fields}
    announced: list[ObjectInfo] = []
    orphans: list[ObjectInfo] = []
    pending: list[ObjectInfo] = []
    for info in objects:
        if any(info.key.startswith(folder) for folder in deleted):
            announced.append(info)
        elif not any(info.key.startswith(folder) for folder in listed) and (nonce := _unlisted(info.key, run_name, entries)):
            (pending if nonce == _writing(entries) else orphans).append(info)
    return announced, orphans, pending


def _unlisted(key: str, run_name: str, entries: list[LogEntry]) -> str:
    """The nonce of the attempt that an object belongs to, when it is part of a payload or of an attempt that never began; else empty.

    What an attempt that began keeps beside its payloads (metrics, logs, the failure record) counts without being listed.
    """
    name = key.removeprefix(f"{run_name}/")
    begun = {entry.nonce for entry in entries if entry.kind == "started"}
    nonce = _attempt_of(key, run_name)
    return nonce if _OF_PAYLOAD.match(name) or nonce not in begun else ""


def _attempt_of(key: str, run_name: str) -> str:
    """The nonce of the attempt below whose prefix a key lies; empty for none's."""
    found = _OF_ATTEMPT.match(key.removeprefix(f"{run_name}/"))
    return found["nonce"] if found else ""


def _writing(entries: list[LogEntry]) -> str | None:
    """The nonce of the attempt that owns the run, unless it said that it ended: older ones are fenced off."""
    last = next((entry for entry in reversed(entries) if entry.kind == "started"), None)
    ended = last and any(entry.nonce == last.nonce and entry.kind in ENDINGS for entry in entries)
    return None if last is None or ended else last.nonce


def _problems(store: Store, entry: LogEntry, objects: dict[str, ObjectInfo], contents: bool) -> Iterator[str]:
    try:
        manifest = payload.read_manifest(store, entry)
    except (UnusableError, DataError) as error:
        yield error.message
        return
    for file in manifest.files:
        info = objects.get(payload_folder(entry) + file.path)
        if info is None:
            yield f"{file.path} is missing"
        elif info.size_bytes != file.size_bytes:
            yield f"{file.path} has {info.size_bytes} bytes instead of {file.size_bytes}"
        elif contents and not _same_content(store, info.key, file):
            yield f"{file.path} has the right size but other content"


def _same_content(store: Store, key: str, file: FileEntry) -> bool:
    with tempfile.TemporaryDirectory(prefix="job-verify-") as folder:
        path = Path(folder) / "object"
        try:
            store.read_file(key, path)
        except MissingObjectError:
            return False
        return disk.sha256_of(path) == file.sha256
