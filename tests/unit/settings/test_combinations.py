"""The table of combinations: every task of the settings is in it, and what it refuses is refused at start."""

from itertools import product
from typing import get_args

import pytest

from job.settings import combinations
from job.settings.root import Task
from job.settings.tuning import TuningSettings
from tests.support.environments import load, refusal

BY = {"single": {"PARALLEL__ENGINE": "single"}, "ddp": {"PARALLEL__ENGINE": "ddp"}} | {
    f"zero{stage}": {"PARALLEL__ENGINE": "deepspeed", "PARALLEL__ZERO_STAGE": str(stage)} for stage in (1, 2, 3)
}


def test_the_table_knows_the_settings_values():
    assert set(combinations.TRIED_TASKS) <= set(get_args(Task))
    assert get_args(TuningSettings.model_fields["method"].annotation) == combinations.METHODS
    assert BY.keys() == combinations.ENGINES.keys()


@pytest.mark.parametrize("method", combinations.METHODS)
def test_what_the_table_refuses_is_refused_at_start_and_nothing_else(method):
    for task, engine in product(combinations.TRIED_TASKS, combinations.ENGINES):
        given = {"TASK": task, "TUNING__METHOD": method, **BY[engine]}
        reason = combinations.refusal(task, method, engine)
        if reason:
            assert reason in refusal(**given)
        else:
            assert load(**given).tuning.method == method


def test_no_4_bit_weights_in_deepspeed_s_parts():
    text = refusal(TUNING__METHOD="qlora", PARALLEL__ENGINE="deepspeed")
    assert "does not take JOB_TUNING__METHOD=qlora" in text
    assert "JOB_TUNING__METHOD=lora" in text
    assert load(TUNING__METHOD="qlora").parallel.engine == "auto"


@pytest.mark.parametrize(("method", "engine"), [("lora", "single"), ("freeze", "ddp"), ("full", "zero2"), ("lora", "zero3")])
def test_a_task_that_was_not_tried_is_trained_whole_and_by_replicas_only(method, engine):
    assert "JOB_TASK=new is tried with" in combinations.refusal("new", method, engine)
    assert combinations.refusal("new", "full", "single") == combinations.refusal("new", "full", "ddp") == ""


def test_features_are_kept_for_tasks_that_ask_the_same_each_time_and_where_every_process_has_the_model():
    given = {"TUNING__METHOD": "freeze", "TUNING__CACHE_FEATURES": "true"}
    assert "JOB_TUNING__CACHE_FEATURES is for JOB_TASK=text-classification and token-classification" in refusal(
        TASK="masked-lm", **given
    )
    assert "does not take JOB_TUNING__CACHE_FEATURES" in refusal(PARALLEL__ENGINE="deepspeed", **given)
    settings = load(PARALLEL__ENGINE="auto", **given)
    assert [engine for engine in combinations.ENGINES if not combinations.refusals(settings, engine)] == ["single", "ddp"]
