import pytest

from tests.support.environments import load, refusal


@pytest.mark.parametrize(
    ("name", "values"),
    [("LOSS", ("DPO", "hinge")), ("BETA", ("0", "-1", "101", "nan")), ("LABEL_SMOOTHING", ("-0.1", "0.5", "half"))],
)
def test_bounds(name, values):
    for value in values:
        assert f"JOB_PREFERENCE__{name}: " in refusal(**{f"PREFERENCE__{name}": value}), value


@pytest.mark.parametrize("loss", ["ipo", "orpo"])
def test_smoothing_needs_a_loss_that_knows_it(loss):
    assert "LABEL_SMOOTHING has a meaning for" in refusal(PREFERENCE__LOSS=loss, PREFERENCE__LABEL_SMOOTHING="0.1")
    assert load(PREFERENCE__LOSS="sigmoid", PREFERENCE__LABEL_SMOOTHING="0.1").preference.label_smoothing == 0.1
