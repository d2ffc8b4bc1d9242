import pytest

from tests.support.environments import load, refusal


def test_some_checkpoint_there_must_be():
    assert "without, a killed run is lost" in refusal(CHECKPOINT__EVERY_MINUTES="0")
    assert load(CHECKPOINT__EVERY_MINUTES="0", CHECKPOINT__EVERY_STEPS="5").checkpoint.every_steps == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [("KEEP", "1"), ("EVERY_STEPS", "0"), ("EVERY_MINUTES", "-1"), ("MAX_FAILED_UPLOADS", "0"), ("PARTS_TIMEOUT_S", "0")],
)
def test_bounds(name, value):
    assert f"JOB_CHECKPOINT__{name}: " in refusal(**{f"CHECKPOINT__{name}": value})
