import pytest

from job.settings.limits import LimitsSettings
from tests.support.environments import load, refusal

SHARES = [name for name in LimitsSettings.model_fields if name.endswith("_share")]


@pytest.mark.parametrize("name", SHARES)
def test_shares_are_between_nothing_and_all(name):
    variable = f"LIMITS__{name.upper()}"
    assert getattr(load(**{variable: "0"}).limits, name) == 0
    assert getattr(load(**{variable: "1"}).limits, name) == 1
    for value in ("-0.1", "1.1", "50%"):
        assert f"JOB_{variable}: " in refusal(**{variable: value})


@pytest.mark.parametrize("name", ["STALL_TIMEOUT_S", "STORE_TIMEOUT_S", "ALIVE_TIMEOUT_S", "DEADLINE"])
def test_time_outs_are_positive(name):
    assert f"JOB_LIMITS__{name}: " in refusal(**{f"LIMITS__{name}": "0"})
