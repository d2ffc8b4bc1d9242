"""Share: push the published folder to the Hub, once it is safe in the store; what becomes of it never changes the run's outcome.

The store's log says what was pushed (``shared``) and what could not be (``unshared``).  A start of a complete run looks there, and
tries again what is still to be pushed, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from job.cluster.stop import StopRequest
from job.errors import as_job_error
from job.run_dir import RunDir
from job.settings.root import Settings
from job.stages.context import RunContext
from job.storage import hub_push, payload
from job.storage.commit import Attempt, RunLog
from job.storage.hub import HubOptions
from job.storage.log import LogEntry
from job.storage.options import StoreOptions
from job.storage.stores import open_store

logger = logging.getLogger(__name__)
VARIABLE = "JOB_OUTPUT__HUB_REPO"
AGAIN = "Start the same run again: it is complete, and only the push will be tried."


def check_access(settings: Settings) -> None:
    """Before any work: see that what is to be pushed at the end can be; nothing is asked where nothing will be pushed.

    Raises:
        DeniedError, SettingsError: the token may not push there, or nobody could.
        UnavailableError: the Hub does not answer.
    """
    if settings.output.hub_repo is not None:
        hub_push.check_access(settings.output.hub_repo, _options(settings))


def share(context: RunContext) -> None:
    """Push what this attempt has published."""
    _attempted(context.settings, context.attempt, context.stop, lambda: context.run_dir.model)


def share_again(settings: Settings, run_dir: RunDir, stop: StopRequest) -> bool:
    """Of a complete run, push what was not pushed; whether there was anything to do.

    The folder comes from the store, unless it still lies in the run directory, byte for byte.
    """
    if settings.output.hub_repo is None:
        return False
    store = open_store(settings.output.uri, StoreOptions(timeout_s=settings.limits.store_timeout_s))
    log = RunLog(store, settings.run.name, settings.output.fence == "required")
    entries = log.read()
    complete = next(entry for entry in reversed(entries) if entry.kind == "complete")
    if _is_shared(settings, entries):
        return False
    attempt = Attempt(log.log, complete.attempt, complete.nonce, entries, log.fenced)

    def fetched() -> Path:
        published = _published(entries)
        payload.download(store, published, payload.read_manifest(store, published), run_dir.model)
        return run_dir.model

    logger.info("run %s is complete already; pushing its model to the Hub", settings.run.name)
    _attempted(settings, attempt, stop, fetched)
    return True


def _attempted(settings: Settings, attempt: Attempt, stop: StopRequest, folder: Callable[[], Path]) -> None:
    """Push, and write into the log what came of it.  Whatever fails here is told and goes no further."""
    if settings.output.hub_repo is None:
        return
    target = _target(settings, attempt.entries)
    try:
        with stop.interruptible():
            url = hub_push.push_folder(folder(), _destination(settings, attempt.entries), _options(settings))
    except Exception as cause:  # noqa: BLE001 - the model is safe in the store: no failure from here on is the run's
        error = as_job_error(cause)
        logger.warning("the model could not be pushed to the Hub, and is safe in the store: %s %s", error, AGAIN)
        about = {"code": error.exit_code, "name": error.name, "message": error.message, "hint": error.hint}
        _record(attempt, "unshared", {**target, **about})
        return
    logger.info("the model was pushed to the Hub: %s", url)
    _record(attempt, "shared", {**target, "commit_url": url})


def _record(attempt: Attempt, kind: str, fields: dict[str, Any]) -> None:
    try:
        attempt.append(kind, **fields)
    except Exception as cause:  # noqa: BLE001 - as above
        logger.warning("what became of the push could not be written to the run's log: %s", as_job_error(cause))


def _destination(settings: Settings, entries: Sequence[LogEntry]) -> hub_push.Destination:
    output, published = settings.output, _published(entries)
    sha256 = published["manifest_sha256"]
    return hub_push.Destination(
        str(output.hub_repo),
        output.hub_private,
        output.hub_revision,
        title=f"Publish {settings.run.name} (manifest {sha256[:12]})",
        description=f"Run {settings.run.name}, attempt {published.attempt}, step {published['step']}, manifest sha256 {sha256}.",
    )


def _target(settings: Settings, entries: Sequence[LogEntry]) -> dict[str, Any]:
    """What identifies a push: repository, branch, and the bytes."""
    output = settings.output
    return {
        "repo": output.hub_repo,
        "branch": output.hub_revision or "main",
        "manifest_sha256": _published(entries)["manifest_sha256"],
    }


def _is_shared(settings: Settings, entries: Sequence[LogEntry]) -> bool:
    wanted = _target(settings, entries).items()
    return any(entry.kind == "shared" and wanted <= entry.fields.items() for entry in entries)


def _published(entries: Sequence[LogEntry]) -> LogEntry:
    return next(entry for entry in reversed(entries) if entry.kind == "published")


def _options(settings: Settings) -> HubOptions:
    token = settings.output.hub_token or settings.model.hub_token
    return HubOptions(
        token=token.get_secret_value() if token else None, timeout_s=settings.limits.store_timeout_s, variable=VARIABLE
    )
