"""``job verify URI``: what of each run is committed, what of that is whole, and what nobody will ever read again."""

from __future__ import annotations

from collections.abc import Sequence

from job.errors import COMPLETE, UnusableError
from job.inspection.places import find_runs
from job.storage.audit import Payload, audit
from job.storage.base import ObjectInfo, Store

_SHOWN = 10


def show(text: str, *, contents: bool, repair: bool) -> tuple[str, int]:
    """Verify every run below a URI.

    Args:
        text: the URI of an output or of one run.
        contents: whether to read every file and compare hashes; else names and sizes only.
        repair: whether to delete what no log entry ever listed.

    Returns:
        What was found, as text, and the exit code: 0, or 78 when something that counts is damaged.

    Raises:
        DataError, SettingsError, DeniedError, UnavailableError: as `find_runs`.
    """
    store, names = find_runs(text)
    reports = [_run(store, name, contents=contents, repair=repair) for name in names]
    return "\n".join(report for report, _ in reports), max((code for _, code in reports), default=COMPLETE)


def _run(store: Store, name: str, *, contents: bool, repair: bool) -> tuple[str, int]:
    try:
        found = audit(store, name, contents=contents)
    except UnusableError as error:
        return f"{name}: UNUSABLE. {error}", UnusableError.exit_code
    lines = [
        f"{name}: {'whole' if found.whole else 'DAMAGED'}, {len(found.entries)} log entries",
        *map(_payload, found.payloads),
        *_objects("deleted by the log, still there (the next start removes it)", found.announced),
        *_objects("not listed, of the attempt that may be writing now (left alone)", found.pending),
        *_objects("orphaned: no log entry lists it", found.orphans),
        *_objects("of a start's check of the store, cut off or running now (left alone)", found.probes),
        *_listed("uploads begun and never ended", [upload.key for upload in found.uploads]),
    ]
    if repair:
        lines.append(f"  removed {found.remove_orphans()} orphaned object(s) or open upload(s)")
    elif found.orphans or found.uploads:
        lines.append("  `job verify --repair` removes the orphaned ones")
    return "\n".join(lines), COMPLETE if found.whole else UnusableError.exit_code


def _payload(payload: Payload) -> str:
    entry = payload.entry
    what = "model" if entry.kind == "published" else "checkpoint"
    state = "; ".join(payload.problems[:_SHOWN]) or "whole"
    return f"  {what} of step {entry['step']}, {entry['size_bytes']:,} bytes, attempt {entry.attempt}: {state}"


def _objects(title: str, objects: Sequence[ObjectInfo]) -> list[str]:
    size = sum(info.size_bytes for info in objects)
    return _listed(title, [info.key for info in objects], f" object(s), {size:,} bytes")


def _listed(title: str, keys: Sequence[str], counted: str = "") -> list[str]:
    if not keys:
        return []
    more = [f"    and {len(keys) - _SHOWN} more"] if len(keys) > _SHOWN else []
    return [f"  {title}: {len(keys)}{counted}", *(f"    {key}" for key in keys[:_SHOWN]), *more]
