"""What the deployment tests share: the job's image, built once, and a network from which nothing leads out."""

from collections.abc import Iterator

import pytest

from tests.support import parts
from tests.support.containers import image as images
from tests.support.containers import network as networks
from tests.support.containers import podman
from tests.support.containers.network import Network


@pytest.fixture(scope="session")
def image() -> str:
    """The name of the image that the Dockerfile makes of this working tree."""
    parts.need("podman with runc and mmdebstrap", there=podman.is_installed())
    return images.build()


@pytest.fixture(scope="session")
def network(image: str) -> Iterator[Network]:
    """A network of containers and of servers that a test puts there."""
    with networks.internal() as made:
        yield made
