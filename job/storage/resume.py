"""From which commit a run continues: the newest that is whole, verified before anything of it is opened.

There are three answers and no fourth: a commit; a fresh start, when the log is readable and has none; or the refusal to go on, when
commits exist and none can be used.  Starting from scratch beside existing commits would throw work away without a word.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.errors import DataError, UnusableError
from job.storage import payload
from job.storage.base import Store
from job.storage.log import LogEntry
from job.storage.manifest import Manifest, missing_nodes, missing_ranks
from job.storage.retention import live_commits

logger = logging.getLogger(__name__)
_SHOWN = 5


@dataclass(frozen=True)
class ResumePoint:
    """A verified commit, downloaded to ``folder``."""

    step: int
    entry: LogEntry
    manifest: Manifest
    folder: Path


def find_resume(store: Store, entries: Sequence[LogEntry], folder: Path, expected: Mapping[str, Any]) -> ResumePoint | None:
    """The newest usable commit, downloaded to ``folder``; None when the run has none yet.

    Args:
        store: where the payloads lie.
        entries: the whole log.
        folder: where to; a copy already there is used when it verifies.
        expected: what the manifest must say by these names, ``settings_fingerprint`` and the like.

    Raises:
        UnusableError: when there are commits and none can be used.
        DeniedError, UnavailableError: as the store says; never taken for a commit that cannot be used.
    """
    commits = live_commits(entries)
    reasons = []
    for entry in reversed(commits):
        try:
            return _restore(store, entry, folder, expected)
        except (UnusableError, DataError) as error:
            reasons.append(f"step {entry['step']} (attempt {entry.attempt}): {error.message}")
            logger.warning("Not continuing from %s", reasons[-1])
    if not any(entry.kind == "committed" for entry in entries):
        return None
    shown = "; ".join(reasons[:_SHOWN]) + (f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else "")
    raise UnusableError(
        f"The run has {len(commits)} checkpoints and none can be used. {shown or 'All were deleted.'}",
        "Restore the settings and the store's content, or start a new run under another JOB_RUN__NAME.",
    )


def _restore(store: Store, entry: LogEntry, folder: Path, expected: Mapping[str, Any]) -> ResumePoint:
    manifest = payload.read_manifest(store, entry)
    if differing := [name for name, value in expected.items() if getattr(manifest, name) != value]:
        raise UnusableError(f"it was made with another {' and '.join(name.replace('_', ' ') for name in differing)}")
    if manifest.kind != "checkpoint" or manifest.step != entry["step"]:
        raise UnusableError("its manifest is of something else")
    if ranks := missing_ranks(manifest):
        raise UnusableError(f"the files of ranks {ranks} are not there")
    if nodes := missing_nodes(manifest):
        raise UnusableError(f"the parts of nodes {nodes} are not there")
    payload.download(store, entry, manifest, folder)
    return ResumePoint(manifest.step, entry, manifest, folder)
