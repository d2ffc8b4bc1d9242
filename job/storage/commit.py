"""The commit protocol: how a run's checkpoints, model and history get into a store so that they are never half there.

    <run>/log/0000000001.json ...                             the history (`log`)
    <run>/attempts/<nonce>/checkpoints/step-0000001200/...    payload, then MANIFEST.json
    <run>/attempts/<nonce>/checkpoints/step-.../parts/        what each node brought, when there are several (`parts`)
    <run>/attempts/<nonce>/model/...                          the published model, same way
    <run>/attempts/<nonce>/<part>.jsonl, failure.json         parts of metrics and logs, the failure record

Files, manifest, log entry: in this order, always.  A payload counts from its log entry on; every key before that is the attempt's
own, so a crash at any point leaves garbage that nobody reads, and the newest commit stays whole.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from job.errors import CrashError, DeniedError, SettingsError, UnavailableError, UnusableError
from job.storage import parts, payload, resume
from job.storage.base import Store, abort_uploads
from job.storage.journal import Journal
from job.storage.log import Log, LogEntry
from job.storage.manifest import Manifest, hash_tree
from job.storage.resume import ResumePoint
from job.storage.retention import announced, delete_payload, left_over, superseded

logger = logging.getLogger(__name__)
_CLEANED_ATTEMPTS = 10
Waiting = Callable[[list[int]], None]


def not_waiting(missing: list[int]) -> None:
    """Whoever has not said how to wait for parts cannot do without them."""
    raise UnavailableError(f"The parts of nodes {missing} are not there.")


@dataclass(frozen=True)
class RunLog:
    """A run in a store, before an attempt at it has begun.

    ``fenced`` false allows a store without a sound put-if-absent, and then two attempts at once may both go on.
    """

    store: Store
    run_name: str
    fenced: bool = True

    @cached_property
    def log(self) -> Log:
        return Log(self.store, f"{self.run_name}/")

    def read(self) -> list[LogEntry]:
        """The run's history; empty only for a run that never began.  Raises as `Log.read` does."""
        return self.log.read()

    def start(
        self, fingerprint: str, info: Mapping[str, Any] | None = None, begun: Callable[[Attempt], None] | None = None
    ) -> Attempt:
        """Begin an attempt: from here on every older one is fenced off.

        Args:
            fingerprint: of the settings that change the result.
            info: what else the history should say: versions, place.
            begun: called with the attempt as soon as the history has it; what fails from then on is an end of this attempt.
        """
        entries, nonce = self.read(), secrets.token_hex(8)
        while True:
            number = sum(entry.kind == "started" for entry in entries) + 1
            fields = {"settings_fingerprint": fingerprint, **(info or {})}
            entry = LogEntry(len(entries) + 1, "started", number, nonce, fields)
            found = entry if self.log.put(entry) and self.fenced else self.log.read_one(entry.number)
            entries.append(found)
            if found.nonce == nonce:
                break
            logger.info("Attempt %d wrote entry %d first; taking the next number.", found.attempt, found.number)
        attempt, before = Attempt(self.log, number, nonce, entries, self.fenced), entries[:-1]
        if begun is not None:
            begun(attempt)
        _clean_up(self.store, self.run_name, before)
        return attempt

    def join(self, nonce: str) -> Attempt:
        """The attempt that another node of this launch has begun, as it was at its beginning.

        Raises:
            UnusableError: when the history does not have it: the nodes do not see the same store.
        """
        entries = self.read()
        begun = next((entry for entry in entries if entry.kind == "started" and entry.nonce == nonce), None)
        if begun is None:
            raise UnusableError(
                f"The main node has begun an attempt that is not in the run's log at {self.store.uri}.",
                "See that JOB_OUTPUT__URI leads to the same store from all nodes.",
            )
        return Attempt(self.log, begun.attempt, nonce, entries[: begun.number], self.fenced)


@dataclass
class Attempt(Journal):
    """One start of a run: what it writes to the store.  Made by `RunLog.start`."""

    _deleted: set[str] = field(default_factory=set, repr=False)

    def commit_checkpoint(
        self, folder: Path, fields: Mapping[str, Any], metric: Mapping[str, Any] | None = None, waiting: Waiting = not_waiting
    ) -> LogEntry:
        """Upload a finished checkpoint and make it the run's newest.

        Args:
            folder: the checkpoint; nothing may write to it any more.
            fields: ``step``, ``world_size``, ``num_nodes``, ``settings_fingerprint``, ``data_fingerprint`` of the manifest, and extras.
            metric: ``name``, ``value``, ``greater_is_better`` at this step, for retention.
            waiting: where there are several nodes, called with those whose parts are still missing (`parts.gather`).

        Raises:
            FencedError: when a newer attempt owns the run.
            UnavailableError, DeniedError: when the store does not take it; nothing counts, and it may be tried again.
        """
        prefix = self.prefix + _checkpoint(fields["step"])
        with self.uploading():
            if fields.get("num_nodes", 1) > 1:
                own = hash_tree(folder)
                payload.upload_files(self.log.store, prefix, folder, own)
                others = parts.gather(self.log.store, prefix, fields["num_nodes"], waiting)
                manifest = payload.make_manifest(folder, "checkpoint", fields, [*own, *others])
            else:
                manifest = payload.make_manifest(folder, "checkpoint", fields)
                payload.upload_files(self.log.store, prefix, folder, manifest.files)
            key = payload.upload_manifest(self.log.store, prefix, manifest)
        return self._append("committed", key, manifest, metric=_finite(metric))

    def put_part(self, step: int, folder: Path, node: int) -> None:
        """Upload what another node than the main one wrote of a checkpoint; errors as for `commit_checkpoint`."""
        with self.uploading():
            parts.put_part(self.log.store, self.prefix + _checkpoint(step), folder, node)

    def publish_model(self, folder: Path, fields: Mapping[str, Any], result: Mapping[str, Any] | None = None) -> LogEntry:
        """Upload the finished model; parameters and errors as for `commit_checkpoint`.  ``result`` is for the entry that ends the run."""
        manifest = payload.make_manifest(folder, "model", fields)
        with self.uploading():
            key = payload.upload(self.log.store, f"{self.prefix}model/", folder, manifest)
        return self._append("published", key, manifest, result=dict(result or {}))

    def write_part(self, name: str, data: bytes) -> str:
        """Write a part of the metrics or logs under a name not used before in this attempt; its key."""
        key = f"{self.prefix}{name}"
        self.log.store.write_bytes(key, data)
        return key

    def complete(self, fields: Mapping[str, Any] | None = None) -> LogEntry:
        """The run is done."""
        return self.append("complete", **(fields or {}))

    def stopped(self, record: Mapping[str, Any] | None = None) -> LogEntry:
        """The attempt was asked to stop, and everything it trained is committed."""
        return self.append("stopped", **(record or {}))

    def failed(self, record: Mapping[str, Any]) -> LogEntry:
        """The attempt failed; the record is kept beside the log too, where a person looks first."""
        self.write_part("failure.json", json.dumps(record, ensure_ascii=False, default=str).encode())
        return self.append("failed", **record)

    def retain(self, keep: int) -> int:
        """Delete all checkpoints but the newest ``keep`` and the best; how many.  The log says so first."""
        gone = superseded(self.entries, keep)
        if gone:
            self.append("deleted", manifests=[entry["manifest"] for entry in gone], steps=[entry["step"] for entry in gone])
        # All that this attempt has announced: the store may have failed in the middle of an earlier deletion.
        for manifest in announced([entry for entry in self.entries if entry.nonce == self.nonce]):
            if manifest not in self._deleted:
                delete_payload(self.log.store, manifest)
                self._deleted.add(manifest)
        return len(gone)

    def find_resume(self, folder: Path, expected: Mapping[str, Any]) -> ResumePoint | None:
        """Where to continue from, downloaded to ``folder``; see `resume.find_resume`."""
        return resume.find_resume(self.log.store, self.entries, folder, expected)

    def _append(self, kind: str, key: str, manifest: Manifest, **fields: Any) -> LogEntry:
        about = {"manifest": key, "manifest_sha256": manifest.sha256(), "size_bytes": manifest.size_bytes}
        return self.append(kind, step=manifest.step, **about, **fields)


def _checkpoint(step: int) -> str:
    return f"checkpoints/step-{step:010d}/"


def _finite(metric: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The metric with None for a value that is no number: JSON has no name for it, and it is never the best."""
    if metric is None:
        return None
    value = metric.get("value")
    return {**metric, "value": value if value is not None and math.isfinite(value) else None}


def _clean_up(store: Store, run_name: str, entries: list[LogEntry]) -> None:
    """Finish what earlier attempts could not: deletions, and uploads that were cut off.

    Only attempts that the log knew before this one began are touched, so a newer one's uploads are safe.
    """
    nonces = [entry.nonce for entry in entries if entry.kind == "started"][-_CLEANED_ATTEMPTS:]
    try:
        for manifest in left_over(store, announced(entries)):
            delete_payload(store, manifest)
    except DeniedError as error:
        logger.warning("What earlier attempts deleted could not be cleaned up: %s", error)
    try:
        for nonce in nonces:
            abort_uploads(store, f"{run_name}/attempts/{nonce}/")
    except (DeniedError, SettingsError, CrashError) as error:  # not every store lists uploads, and the right to is not required
        logger.warning("Uploads that earlier attempts left could not be cleaned up: %s", error)
