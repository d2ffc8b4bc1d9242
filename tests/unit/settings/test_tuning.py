import pytest

from tests.support.environments import load, refusal


def test_all_weights_by_default():
    assert load().tuning.method == "full"
    assert load().tuning.published == "model"
    assert "JOB_TUNING__METHOD: " in refusal(TUNING__METHOD="magic")


def test_an_adapter_is_published_alone_unless_it_is_asked_for_otherwise():
    assert load(TUNING__METHOD="lora").tuning.published == "adapter"
    assert load(TUNING__METHOD="lora", TUNING__PUBLISH="both").tuning.published == "both"
    assert load(TUNING__METHOD="lora", TUNING__LORA_TARGETS="q_lin, v_lin").tuning.lora_targets == ("q_lin", "v_lin")


@pytest.mark.parametrize(
    ("name", "value", "method"),
    [("TRAIN_LAST_LAYERS", "2", "lora"), ("TRAIN_LAST_LAYERS", "0", "full"), ("CACHE_FEATURES", "true", "lora"), ("LORA_RANK", "8", "freeze"), ("LORA_DORA", "false", "full"), ("PUBLISH", "adapter", "full")],
)  # fmt: skip
def test_a_setting_of_another_method_is_refused_by_both_names(name, value, method):
    text = refusal(TUNING__METHOD=method, **{f"TUNING__{name}": value})
    assert f"JOB_TUNING__{name} is for JOB_TUNING__METHOD=" in text
    assert f"JOB_TUNING__METHOD is {method}" in text


def test_all_that_is_wrong_is_told_at_once():
    text = refusal(TUNING__LORA_RANK="8", TUNING__TRAIN_LAST_LAYERS="1")
    assert "JOB_TUNING__LORA_RANK is for" in text
    assert "JOB_TUNING__TRAIN_LAST_LAYERS is for" in text


def test_what_cannot_go_together():
    both = {"TUNING__METHOD": "freeze", "TUNING__CACHE_FEATURES": "true", "TUNING__TRAIN_LAST_LAYERS": "1"}
    assert "leave one of the two out" in refusal(**both)
    assert load(**both | {"TUNING__TRAIN_LAST_LAYERS": "0"}).tuning.cache_features
    assert load(**both | {"TUNING__CACHE_FEATURES": "false"}).tuning.train_last_layers == 1
    assert "names all-linear beside others" in refusal(TUNING__METHOD="lora", TUNING__LORA_TARGETS="all-linear,q_lin")
    assert "JOB_TUNING__PUBLISH=merged needs JOB_TUNING__METHOD=lora" in refusal(TUNING__METHOD="qlora", TUNING__PUBLISH="merged")
    assert "JOB_TUNING__LORA_DROPOUT: " in refusal(TUNING__METHOD="lora", TUNING__LORA_DROPOUT="1")
