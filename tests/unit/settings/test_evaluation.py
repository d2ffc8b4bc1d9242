import pytest

from tests.support.environments import load, refusal


def test_early_stopping_needs_a_metric():
    said = "JOB_EVAL__EARLY_STOPPING_PATIENCE needs a JOB_EVAL__BEST_METRIC other than none"
    assert said in refusal(EVAL__EARLY_STOPPING_PATIENCE="2", EVAL__BEST_METRIC="none")
    assert load(EVAL__EARLY_STOPPING_PATIENCE="2").eval.early_stopping_patience == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("EVERY_STEPS", "0"), ("EVERY_EPOCHS", "0"), ("BOOTSTRAP_SAMPLES", "99"), ("CONFIDENCE", "1"), ("CONFIDENCE", "0.5")],
)
def test_bounds(name, value):
    assert f"JOB_EVAL__{name}: " in refusal(**{f"EVAL__{name}": value})
