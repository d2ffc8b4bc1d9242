"""A sample of the fault matrix: every row with a fixed seed, and one row with a fresh one.  `make faults` runs all of it."""

import random

import pytest

from tests.faults.driver import Driver
from tests.faults.rows import ROWS

FAULTS = 2
FRESH = random.SystemRandom().randrange(10**6)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return Driver.make(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize(("row", "seed"), [*((row, 1) for row in ROWS), ("kill", FRESH)], ids=[*ROWS, "kill-fresh"])
def test_nothing_is_lost(driver, row, seed):
    results = list(driver.faults(row, seed, FAULTS))
    for result in results:
        print(result)
    assert [violation for result in results for violation in result.violations] == [], f"row {row}, seed {seed}"
