"""From a URI to a store: one table, so that a new store is one new file and one new line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from job.errors import SettingsError
from job.storage.base import Store
from job.storage.local import LocalStore
from job.storage.options import StoreOptions
from job.storage.s3 import open_s3
from job.storage.uri import Location, parse


def open_store(uri: str | Location, options: StoreOptions | None = None) -> Store:
    """The store at ``uri``; no request is sent yet.

    Raises:
        SettingsError: when ``uri`` is no location, or its kind can hold no run.
    """
    location = parse(uri) if isinstance(uri, str) else uri
    if location.scheme not in _STORES:
        raise SettingsError(
            f"{location.uri} is a Hub repository, where a store is needed.", "Use s3://bucket/prefix, file:///folder or ./folder."
        )
    return _STORES[location.scheme](location, options or StoreOptions())


def _local(location: Location, _: StoreOptions) -> Store:
    return LocalStore(Path(location.path))


_STORES: dict[str, Callable[[Location, StoreOptions], Store]] = {"file": _local, "s3": open_s3}
