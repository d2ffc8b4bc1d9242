"""Variants that a real Optuna study chooses, told what runs in a real store scored."""

import importlib.util

import pytest

from job import cli
from job.errors import DataError, SettingsError
from job.inspection import suggest
from job.inspection.suggest import Wish
from job.settings import root, sweep
from job.storage.local import LocalStore
from tests.support import sweeps
from tests.support.environments import MINIMAL

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
SPACE = """
JOB_TRAIN__LEARNING_RATE: {low: 1e-6, high: 1e-3, log: true}
JOB_TRAIN__GLOBAL_BATCH_SIZE: {choices: [16, 32]}
JOB_TRAIN__MAX_STEPS: {low: 10, high: 20, step: 5}
JOB_TRAIN__TF32: {choices: [true, false]}
"""


@pytest.fixture
def environ(tmp_path):
    return MINIMAL | {"JOB_RUN__NAME": "reviews", "JOB_OUTPUT__URI": str(tmp_path / "store")}


@pytest.fixture
def wish(tmp_path):
    def wish(space=SPACE, count=3, *, minimize=False):
        (tmp_path / "space.yaml").write_text(space)
        return Wish(tmp_path / "space.yaml", tmp_path / "study.journal", count, minimize)

    return wish


def asked(environ, wish):
    text, said = suggest.suggest(environ, wish)
    found, problems = sweep.variants(text)
    assert not problems
    return found, said


def score(tmp_path, variant, value, **more):
    name = variant["JOB_RUN__NAME"]
    attempt = sweeps.begin(LocalStore(tmp_path / "store"), name)
    sweeps.publish(attempt, tmp_path / f"model-{name}", sweeps.evaluation(value) | more)


def refusal(environ, wish):
    with pytest.raises(SettingsError) as raised:
        suggest.suggest(environ, wish)
    return str(raised.value)


def test_variants_are_settings_within_the_space(environ, wish):
    found, said = asked(environ, wish(count=8))
    assert said == "0 result(s) told, 0 in all; 8 new variant(s), 8 without a result."
    assert [variant["JOB_RUN__NAME"] for variant in found] == [f"reviews-{number}" for number in range(8)]
    loaded = [root.load(environ | variant) for variant in found]
    assert all(1e-6 <= settings.train.learning_rate <= 1e-3 for settings in loaded)
    assert len({settings.train.learning_rate for settings in loaded}) == 8
    assert {settings.train.global_batch_size for settings in loaded} == {16, 32}
    assert {settings.train.max_steps for settings in loaded} <= {10, 15, 20}
    assert {settings.train.tf32 for settings in loaded} == {True, False}


def test_the_next_call_is_told_what_was_scored_and_what_failed(environ, wish, tmp_path):
    (first, second, third, _), _ = asked(environ, wish(count=4))
    score(tmp_path, first, 0.81)
    score(tmp_path, second, 0.92)
    sweeps.begin(LocalStore(tmp_path / "store"), third["JOB_RUN__NAME"]).failed({"code": 93, "message": "diverged"})
    found, said = asked(environ, wish(count=1))
    assert said == "3 result(s) told, 2 in all; 1 new variant(s), 2 without a result. Best so far: reviews-1, 0.92."
    assert found[0]["JOB_RUN__NAME"] == "reviews-4"
    _, said = asked(environ, wish(count=1))
    assert said.startswith("0 result(s) told, 2 in all")


def test_the_study_goes_where_the_scores_are(environ, wish, tmp_path):
    """Scores fall away from one end of the range: after some rounds most of what is asked for lies near it."""
    space = "JOB_TRAIN__WARMUP_RATIO: {low: 0.0, high: 0.9}"
    ratios = []
    for _ in range(6):
        found, said = asked(environ, wish(space, 5))
        ratios += [float(variant["JOB_TRAIN__WARMUP_RATIO"]) for variant in found]
        for variant, ratio in zip(found, ratios[-5:], strict=True):
            score(tmp_path, variant, 1 - ratio)
    assert "25 in all" in said
    assert sum(ratios[-10:]) < sum(ratios[:10]) / 2, ratios


def test_the_best_is_the_least_where_less_is_better(environ, wish, tmp_path):
    (first, second), _ = asked(environ, wish(count=2, minimize=True))
    score(tmp_path, first, 0.3, greater_is_better=False)
    score(tmp_path, second, 0.2, greater_is_better=False)
    assert "Best so far: reviews-1, 0.2." in asked(environ, wish(count=1, minimize=True))[1]
    assert "was begun to minimize the metric" in refusal(environ, wish())


def test_a_metric_of_the_other_direction_is_noticed(environ, wish, tmp_path):
    (first,), _ = asked(environ, wish(count=1))
    score(tmp_path, first, 0.3, greater_is_better=False)
    assert "Less of accuracy is better, and the study is to maximize it. Begin another study, with --minimize." in refusal(
        environ, wish()
    )


def test_nothing_is_asked_of_the_study_when_the_space_is_wrong(environ, wish, tmp_path):
    assert "Nearest: JOB_TRAIN__LEARNING_RATE" in refusal(environ, wish("JOB_TRAIN__LERNING_RATE: {low: 1e-5, high: 1e-3}"))
    assert not (tmp_path / "study.journal").exists()


def test_values_that_do_not_go_together_are_told(environ, wish):
    space = "JOB_TRAIN__MICRO_BATCH_SIZE: {choices: [8]}\nJOB_TRAIN__GLOBAL_BATCH_SIZE: {choices: [4]}"
    # Each alone is fine beside the shared settings.
    text = refusal(environ | {"JOB_TRAIN__GLOBAL_BATCH_SIZE": "32"}, wish(space))
    assert "do not go together: JOB_TRAIN__MICRO_BATCH_SIZE is larger than" in text
    assert "--count must be 1 or more" in refusal(environ, wish(count=0))


def test_without_optuna_it_says_what_to_install(environ, wish, monkeypatch):
    plain = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna" else plain(name))
    assert "pip install 'finetune-job[sweep]'" in refusal(environ, wish())


def test_the_command(environ, wish, tmp_path, capsys):
    given = wish(count=2)
    settings = tmp_path / "run.env"
    settings.write_text("".join(f"{name}={value}\n" for name, value in environ.items()) + "SUBMIT_IMAGE=image\n# no more\n")
    argv = ["suggest", "--settings", str(settings), "--space", str(given.space), "--study", str(given.study), "--count", "2"]
    assert cli.main(argv, {}) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2
    assert told.err == "0 result(s) told, 0 in all; 2 new variant(s), 2 without a result.\n"
    assert cli.main([*argv, "--output", str(tmp_path / "sweep.txt")], {}) == 0
    assert not capsys.readouterr().out
    assert cli.main([*argv, "--output", str(tmp_path / "sweep.txt")], {}) == 64
    assert "reads its line of it again" in capsys.readouterr().err
    found, _ = sweep.variants((tmp_path / "sweep.txt").read_text())
    chosen = root.load(environ | {"JOB_SWEEP__VARIANTS_PATH": str(tmp_path / "sweep.txt"), "JOB_COMPLETION_INDEX": "1"})
    assert chosen.run.name == found[1]["JOB_RUN__NAME"] == "reviews-3"
    settings.write_text("no setting\n")
    assert cli.main(argv, {}) == 64
    assert "Line 1 is not NAME=value" in capsys.readouterr().err


def test_a_failure_that_is_tried_again_stays_open(environ, wish, tmp_path):
    (first,), _ = asked(environ, wish(count=1))
    attempt = sweeps.begin(LocalStore(tmp_path / "store"), first["JOB_RUN__NAME"])
    attempt.failed({"code": 70, "message": "a worker was killed"})
    assert asked(environ, wish(count=1))[1].startswith("0 result(s) told")
    score(tmp_path, first, 0.7)
    assert "Best so far: reviews-0, 0.7." in asked(environ, wish(count=1))[1]


def test_runs_of_others_are_neither_told_nor_overwritten(environ, wish, tmp_path):
    score(tmp_path, {"JOB_RUN__NAME": "reviews-0"}, 0.99)
    with pytest.raises(DataError, match="There is a run reviews-0 already, which this study did not ask for"):
        suggest.suggest(environ, wish(count=1))
    found, said = asked(environ, wish(count=1))
    assert (found[0]["JOB_RUN__NAME"], said[:10]) == ("reviews-1", "0 result(s")


def test_scores_of_other_examples_are_not_told(environ, wish, tmp_path):
    (first, second), _ = asked(environ, wish(count=2))
    score(tmp_path, first, 0.7)
    score(tmp_path, second, 0.8, num_examples=10)
    with pytest.raises(DataError, match=r"compares accuracy of 2000 examples \(test\), and reviews-1 has accuracy of 10"):
        suggest.suggest(environ, wish(count=1))


def test_a_file_that_is_no_study_is_told(environ, wish, tmp_path):
    for content in ("hello\n", '{"a": 1}\n', '{"op_code": 77}\n'):
        (tmp_path / "study.journal").write_text(content)
        assert "study.journal is no journal of Optuna's" in refusal(environ, wish())
