"""Start: try the store, read the run's history, and take the run over."""

from __future__ import annotations

import logging

from job.settings import resolved
from job.settings.root import Settings
from job.storage.commit import Attempt, RunLog
from job.storage.options import StoreOptions
from job.storage.probe import probe
from job.storage.stores import open_store

logger = logging.getLogger(__name__)


def start_attempt(settings: Settings) -> Attempt | None:
    """Append ``started`` to the run's history; None when the run is complete already.

    Raises:
        SettingsError: the store cannot keep the protocol's promises, or the finished run was made with other settings.
        DeniedError, UnavailableError: as met.
    """
    store = open_store(settings.output.uri, StoreOptions(timeout_s=settings.limits.store_timeout_s))
    fenced = settings.output.fence == "required"
    probe(store, settings.run.name).require(fenced=fenced)
    log = RunLog(store, settings.run.name, fenced)
    entries = log.read()
    if entries and entries[-1].kind == "complete":
        return None
    if entries:
        logger.info("run %s has %d log entries; taking it over", settings.run.name, len(entries))
    return log.start(resolved.fingerprint(settings), {"task": settings.task})
