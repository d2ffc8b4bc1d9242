"""From the URI that a person gives to the runs that lie there."""

from __future__ import annotations

from job.errors import DataError
from job.storage import audit, uri
from job.storage.base import Store
from job.storage.stores import open_store


def find_runs(text: str) -> tuple[Store, list[str]]:
    """The store and its runs, from the URI of an output or of one run in it.

    Raises:
        SettingsError: the URI is none, or of a place that holds no runs.
        DataError: there is no run.
        DeniedError, UnavailableError: as the store says.
    """
    location = uri.parse(text)
    store = open_store(location)
    names = audit.run_names(store)
    if names == [""]:
        parent, name = uri.parse(text.rstrip("/").rpartition("/")[0] or "/"), text.rstrip("/").rpartition("/")[2]
        return open_store(parent), [name]
    if not names:
        raise DataError(
            f"There is no run at {store.uri}.", "Give the URI in JOB_OUTPUT__URI, or that with the run's name behind it."
        )
    return store, names
