"""Which commits a run still has, and which it may let go.  Decided from the log alone: what it never listed is not touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from job.errors import ERRORS, CrashError, LocalIOError, Retry, UnavailableError
from job.storage.base import Store
from job.storage.log import LogEntry


def live_commits(entries: Sequence[LogEntry]) -> list[LogEntry]:
    """The commits whose payload is still there, oldest first."""
    deleted = set(announced(entries))
    found = {entry["manifest"]: entry for entry in entries if entry.kind == "committed" and entry["manifest"] not in deleted}
    return list(found.values())


def announced(entries: Iterable[LogEntry]) -> list[str]:
    """The manifests of all payloads whose deletion the log has announced."""
    return [manifest for entry in entries if entry.kind == "deleted" for manifest in entry["manifests"]]


def superseded(entries: Sequence[LogEntry], keep: int) -> list[LogEntry]:
    """The commits that are neither among the newest ``keep`` nor the best by the newest metric; oldest first."""
    commits = live_commits(entries)
    best = _best(commits)
    return [entry for entry in commits[: -keep or None] if entry is not best]


def fruitless_attempts(entries: Sequence[LogEntry]) -> int:
    """How many attempts in a row, up to the last, ended without a commit in a way that invites another try.

    Attempts that were asked to stop do not count, nor those that ended with an error no retry can change (a wrong setting put right
    is a new situation), nor those whose surroundings failed: store, Hub or disk.
    """
    count = 0
    for entry in entries:
        if entry.kind == "committed":
            count = 0
        elif entry.kind == "started":
            count += 1
        elif entry.kind == "stopped" or (entry.kind == "failed" and not _invites_retry(entry)):
            count = max(0, count - 1)
    return count


def fruitless_stops(entries: Sequence[LogEntry]) -> int:
    """How many attempts in a row, up to the last, were asked to stop before they had committed anything."""
    count = 0
    for entry in entries:
        if entry.kind in ("committed", "published"):
            count = 0
        elif entry.kind == "stopped":
            count += 1
    return count


def _invites_retry(entry: LogEntry) -> bool:
    error = ERRORS.get(entry.fields.get("code", CrashError.exit_code), CrashError)
    return error.retry is not Retry.NEVER and error not in (UnavailableError, LocalIOError)


def payload_folder(entry: LogEntry) -> str:
    """The key prefix of an entry's payload, with a slash at its end."""
    return str(entry["manifest"]).rpartition("/")[0] + "/"


def delete_payload(store: Store, manifest: str) -> None:
    """Delete a payload whose deletion the log has announced, the manifest first: a half-deleted one must not look whole."""
    store.delete(manifest)
    for info in store.list(manifest.rpartition("/")[0] + "/"):
        store.delete(info.key)


def left_over(store: Store, manifests: Iterable[str]) -> Iterator[str]:
    """Those of deleted payloads of which the store still has something.

    One listing for all that lie side by side, because a long run has deleted thousands.
    """
    places: dict[str, dict[str, str]] = {}
    for manifest in manifests:
        place, _, name = manifest.rpartition("/")[0].rpartition("/")
        places.setdefault(f"{place}/", {})[name] = manifest
    for place, payloads in places.items():
        names = {info.key.removeprefix(place).partition("/")[0] for info in store.list(place)}
        yield from (manifest for name, manifest in payloads.items() if name in names)


def _best(commits: Sequence[LogEntry]) -> LogEntry | None:
    """The commit with the best value of the metric that the newest scored commit names; of equals the newest."""
    scored = [entry for entry in commits if (entry.fields.get("metric") or {}).get("value") is not None]
    if not scored:
        return None
    newest = scored[-1]["metric"]
    sign = 1 if newest["greater_is_better"] else -1
    same = [entry for entry in scored if entry["metric"]["name"] == newest["name"]]
    return max(same, key=lambda entry: (sign * entry["metric"]["value"], entry.number))
