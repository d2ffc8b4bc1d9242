import pytest

from tests.support.environments import load, refusal


def test_defaults():
    assert (load().embedding.pooling, load().embedding.scale) == ("mean", 20.0)


@pytest.mark.parametrize(("name", "values"), [("POOLING", ("average", "")), ("SCALE", ("0", "1001", "x"))])
def test_bounds(name, values):
    for value in filter(None, values):
        assert f"JOB_EMBEDDING__{name}: " in refusal(**{f"EMBEDDING__{name}": value}), value
