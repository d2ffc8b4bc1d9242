"""What every test starts from: no setting of the job in the environment, no network library that looks for one.

Parts that a machine may lack (Ceph, Swift, Slurm, Chromium, real data) are asked for with `tests.support.parts.need`.  Servers start when
the first test asks for them, and stay until the end.
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import parts
from tests.support.provision import SWIFT_VENV
from tests.support.servers import ceph as ceph_server
from tests.support.servers import moto as moto_server
from tests.support.servers import slurm as slurm_server
from tests.support.servers import swift as swift_server
from tests.support.servers.processes import Endpoint

_swift_venv = Path(os.environ.get("JOB_TEST_SWIFT_VENV") or SWIFT_VENV)


def pytest_configure(config: pytest.Config) -> None:
    """Take the tests' own variables out of the environment before the first test: to the job they would be unknown settings."""
    parts.take_from_environment(getattr(config, "workerinput", {}).get("parts"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tests that run in processes of their own are told what was asked for, too: their environment no longer says it."""
    node.workerinput["parts"] = parts.taken()


def pytest_collection_finish() -> None:
    """What was imported by now stays: no garbage collection need look at those million objects again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, no profile, no look for a role: what a test's store needs, the test says."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def real_data():
    """The folder of real data sets."""
    return parts.need_real_data()


@pytest.fixture(scope="session")
def ceph() -> Iterator[ceph_server.Ceph]:
    """Ceph's object gateway, over http and https: the tests' main S3 server."""
    parts.need("Ceph", there=ceph_server.is_installed())
    with ceph_server.ceph() as server:
        yield server


@pytest.fixture(scope="session")
def swift() -> Iterator[Endpoint]:
    """OpenStack Swift's S3 interface, whose put-if-absent is not one."""
    parts.need("OpenStack Swift", there=swift_server.is_installed(_swift_venv))
    with swift_server.swift(_swift_venv) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def slurm() -> Iterator[slurm_server.Slurm]:
    """A cluster of eight nodes, one of which a test may have switched off."""
    parts.need("Slurm", there=slurm_server.is_installed())
    with slurm_server.slurm(num_nodes=8) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def moto() -> Iterator[Endpoint]:
    """A mock that keeps and returns checksums as AWS does."""
    with moto_server.moto() as endpoint:
        yield endpoint
