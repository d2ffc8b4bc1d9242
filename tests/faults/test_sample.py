"""A sample of the fault matrix: rows of processes, files, input and the store with a fixed seed, and one with a fresh one.

`make faults` runs all rows.
"""

import random

import pytest

from tests.faults.driver import Driver

FAULTS = {"kill": 2, "edge": 2, "stop": 2, "two": 2, "frozen": 2, "damage": 2, "store": 1, "hostile": 6, "forged": 1}
"""Of each row."""
FRESH = random.SystemRandom().randrange(10**6)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return Driver.make(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize(("row", "seed"), [*((row, 1) for row in FAULTS), ("kill", FRESH)], ids=[*FAULTS, "kill-fresh"])
def test_nothing_is_lost(driver, row, seed):
    results = list(driver.faults(row, seed, FAULTS[row]))
    for result in results:
        print(result)
    assert [violation for result in results for violation in result.violations] == [], f"row {row}, seed {seed}"
