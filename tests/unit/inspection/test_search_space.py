"""Ranges and choices in YAML: what becomes of them, and everything that is none."""

import pytest
from optuna import distributions

from job.errors import SettingsError
from job.inspection import search_space
from tests.support.environments import MINIMAL


def test_ranges_and_choices(tmp_path):
    (tmp_path / "space.yaml").write_text("""
JOB_TRAIN__LEARNING_RATE: {low: 1e-6, high: 1e-3, log: true}
JOB_TRAIN__WARMUP_RATIO: {low: 0.0, high: 0.5, step: 0.25}
JOB_TRAIN__MAX_STEPS: {low: 10, high: 20, step: 5}
JOB_TRAIN__TF32: {choices: [true, false]}
""")
    found = search_space.read(tmp_path / "space.yaml", MINIMAL)
    assert found == {
        "JOB_TRAIN__LEARNING_RATE": distributions.FloatDistribution(1e-6, 1e-3, log=True),
        "JOB_TRAIN__WARMUP_RATIO": distributions.FloatDistribution(0.0, 0.5, step=0.25),
        "JOB_TRAIN__MAX_STEPS": distributions.IntDistribution(10, 20, step=5),
        "JOB_TRAIN__TF32": distributions.CategoricalDistribution(["true", "false"]),
    }


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.yaml cannot be read: No such file"):
        search_space.read(tmp_path / "none.yaml", MINIMAL)


BAD = {
    "no mapping": ("- a", "must hold a mapping"),
    "empty": ("", "must hold a mapping"),
    "not YAML": ("a: {", "is not valid YAML"),
    "YAML too deep": ("[" * 10_000, "is not valid YAML"),
    "no range": ("JOB_RUN__SEED: 3", "JOB_RUN__SEED: must be {low: ..., high: ...}"),
    "half a range": ("JOB_RUN__SEED: {low: 3}", "JOB_RUN__SEED: must be {low: ..., high: ...}"),
    "a word": ("JOB_TRAIN__LEARNING_RATE: {low: small, high: 1}", "JOB_TRAIN__LEARNING_RATE: could not convert"),
    "upside down": ("JOB_RUN__SEED: {low: 3, high: 1}", "JOB_RUN__SEED: "),
    "logarithm of nothing": ("JOB_TRAIN__LEARNING_RATE: {low: 0.0, high: 1.0, log: true}", "JOB_TRAIN__LEARNING_RATE: "),
    "no choice": ("JOB_RUN__SEED: {choices: []}", "choices must be a list"),
    "misspelt": ("JOB_TRAIN__LERNING_RATE: {low: 1e-5, high: 1e-3}", "Nearest: JOB_TRAIN__LEARNING_RATE"),
    "an end that is no setting": ("JOB_TRAIN__LEARNING_RATE: {low: -1.0, high: 1e-3}", "JOB_TRAIN__LEARNING_RATE: "),
    "a choice that is none": ("JOB_TUNING__METHOD: {choices: [full, magic]}", "JOB_TUNING__METHOD: "),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_searched_is_told(tmp_path, case):
    space, says = BAD[case]
    (tmp_path / "space.yaml").write_text(space)
    with pytest.raises(SettingsError) as raised:
        search_space.read(tmp_path / "space.yaml", MINIMAL)
    assert says in str(raised.value)
    assert "space.yaml" in str(raised.value)
