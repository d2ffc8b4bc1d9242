import dataclasses

import pytest

from job.reporting.sections import tuning
from tests.support import bundles


def bundle(train=None, evaluation=None, **settings):
    whole = bundles.single_label()
    return dataclasses.replace(
        whole,
        settings=whole.settings | {"tuning": settings},
        train=whole.train | (train or {}),
        evaluation=whole.evaluation | (evaluation or {}),
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "full"}, "all weights"),
        ({"method": "freeze"}, "the head alone"),
        ({"method": "freeze", "train_last_layers": 2}, "the head and the last 2 layers"),
        ({"method": "lora"}, "an adapter (LoRA) of rank 8 on all-linear"),
        ({"method": "lora", "lora_rank": 4, "lora_targets": ["q_lin"], "lora_dora": True}, "an adapter (DoRA) of rank 4 on q_lin"),
        ({"method": "qlora"}, "an adapter (LoRA) of rank 8 on all-linear on a base in 4 bits"),
    ],
)
def test_the_method_in_words(settings, words):
    assert tuning.method(bundle(**settings)) == words


def test_how_much_was_trained_is_told_where_it_was_not_all():
    assert tuning.trained_share(bundle({"num_parameters": 2000, "num_trained_parameters": 100})) == ", of which 100 trained (5 %)"
    assert tuning.trained_share(bundle({"num_parameters": 2000, "num_trained_parameters": 2000})) == ""


def test_an_adapter_is_not_a_whole_model():
    found = bundle({"published": "adapter"}, method="lora")
    assert tuning.adapter(found)["labels"].startswith("{0: ")
    assert (tuning.relation(found), tuning.tags(found), tuning.published(found)) == ("adapter", ["lora"], ", the adapter alone")
    assert tuning.adapter(bundle(method="full")) == {}
    assert tuning.relation(bundle(method="full")) == "finetune"


def test_a_merge_is_told_with_its_difference():
    merge = {"max_abs_difference": 1.2e-6, "max_abs_output": 3.5, "bound": 0.001, "num_examples": 64}
    found = tuning.merge(bundle({"published": "both"}, {"merge": merge}, method="lora"))
    assert (found["difference"], found["largest"], found["both"]) == ("1.2e-06", "3.5", True)
    assert tuning.merge(bundle(method="lora")) == {}


def test_a_continued_adapter_is_called_that():
    found = bundle(method="lora")
    found.sources["adapter"] = {"uri": "x"}
    assert tuning.method(found) == "the adapter that it started from"
