"""Each test of the contract runs on every kind of store."""

from pathlib import Path

import pytest

from job.storage.base import Store
from tests.support.servers import places
from tests.support.servers.places import Place


@pytest.fixture(params=places.KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh place on a store of every kind."""
    return places.prepare(request.param, request, tmp_path)


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


@pytest.fixture(params=["local", "ceph https"])
def run_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh place on the kinds of store that runs are tried on."""
    return places.prepare(request.param, request, tmp_path)
