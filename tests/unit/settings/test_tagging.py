import pytest

from tests.support.environments import load, refusal


def test_defaults_and_choices():
    assert load().tagging.label_pieces == "first"
    assert load(TAGGING__LABEL_PIECES="all", TAGGING__STRICT="false").tagging.strict is False


@pytest.mark.parametrize(("name", "value"), [("LABEL_PIECES", "last"), ("STRICT", "very")])
def test_bounds(name, value):
    assert f"JOB_TAGGING__{name}: " in refusal(**{f"TAGGING__{name}": value})
