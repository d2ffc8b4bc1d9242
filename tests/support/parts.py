"""Parts that a machine may lack: a test that needs one is skipped by its name, or fails where everything is required.

``JOB_REAL_DATA`` is the folder of the real data sets, ``JOB_TEST_REQUIRE_ALL=1`` turns every such skip into a failure.
"""

import os
from pathlib import Path

import pytest

_taken: dict[str, str] = {}


def take_from_environment(told: dict[str, str] | None = None) -> None:
    """Move every ``JOB_`` variable out of the process's environment, so that no test and no child of one sees it.

    Args:
        told: what another process of this test run took out of its own.
    """
    _taken.update(told or {})
    for name in [name for name in os.environ if name.startswith("JOB_")]:
        _taken[name] = os.environ.pop(name)


def taken() -> dict[str, str]:
    """What was moved out."""
    return dict(_taken)


def need(name: str, *, there: bool) -> None:
    """Skip, or fail, the test unless the part is there.

    Args:
        name: the part as a reader knows it, such as ``Ceph``.
        there: whether it was found.
    """
    if there:
        return
    if _taken.get("JOB_TEST_REQUIRE_ALL"):
        pytest.fail(f"{name} is required (JOB_TEST_REQUIRE_ALL) and missing on this machine; `make provision` installs what it can")
    pytest.skip(f"{name} is missing on this machine; `make provision` installs what it can")


def need_real_data() -> Path:
    """The folder that ``JOB_REAL_DATA`` names."""
    folder = Path(_taken.get("JOB_REAL_DATA") or "/nonexistent")
    need("JOB_REAL_DATA", there=folder.is_dir())
    return folder
