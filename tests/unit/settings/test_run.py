import pytest

from tests.support.environments import load, refusal


@pytest.mark.parametrize("name", ["a", "Tweets-2026_v1.0", "a" * 100])
def test_names_of_runs(name):
    assert load(RUN__NAME=name).run.name == name


@pytest.mark.parametrize("name", ["-a", ".hidden", "..", "a/b", "a b", "ä", "a" * 101, "a\n"])
def test_names_that_would_not_do_as_a_folder_and_a_key(name):
    assert "JOB_RUN__NAME" in refusal(RUN__NAME=name)


def test_a_time_limit_leaves_time_before_the_grace():
    assert load(RUN__TIME_LIMIT_S="31").run.time_limit_s == 31
    assert "JOB_RUN__TIME_LIMIT_S leaves nothing to train in" in refusal(RUN__TIME_LIMIT_S="30")
    assert load(RUN__TIME_LIMIT_S="5", RUN__GRACE_S="2").run.grace_s == 2


@pytest.mark.parametrize("name", ["DIR", "STOP_FILE", "TERMINATION_LOG"])
def test_no_path_holds_a_nul_character(name):
    assert f"JOB_RUN__{name}: no path holds" in refusal(**{f"RUN__{name}": "a\0b"})


@pytest.mark.parametrize(
    ("name", "value"), [("SEED", "-1"), ("SEED", str(2**32)), ("TIME_LIMIT_S", "0"), ("GRACE_S", "0.5"), ("GRACE_S", "nan")]
)
def test_bounds(name, value):
    assert f"JOB_RUN__{name}: " in refusal(**{f"RUN__{name}": value})
