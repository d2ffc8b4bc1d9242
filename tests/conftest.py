"""What every test starts from: no setting of the job in the environment, no network library that looks for one.

Parts that a machine may lack (Ceph, Swift, Chromium, real data) are asked for with `tests.support.parts.need`.
"""

import pytest

from tests.support import parts


def pytest_configure(config: pytest.Config) -> None:
    """Take the tests' own variables out of the environment before the first test: to the job they would be unknown settings."""
    parts.take_from_environment()


@pytest.fixture
def real_data():
    """The folder of real data sets."""
    return parts.need_real_data()
