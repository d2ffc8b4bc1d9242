import json

import pytest

from job.errors import SettingsError
from job.settings import deepspeed, root
from tests.support import tiny

ZERO3 = {"PARALLEL__ENGINE": "deepspeed", "PARALLEL__ZERO_STAGE": "3"}


def load(folder, content, **given):
    path = folder / "ds.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return root.load(tiny.environ(folder, **{**ZERO3, "PARALLEL__DEEPSPEED_CONFIG": str(path), **given}))


def test_what_agrees_or_is_left_to_the_job(tmp_path):
    fits = {
        "train_batch_size": 16,
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": 1.0,
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": False},
        "zero_optimization": {"stage": 3, "offload_optimizer": {"device": "none"}, "reduce_bucket_size": 1000},
        "wall_clock_breakdown": True,
    }
    assert load(tmp_path, fits).parallel.zero_stage == 3
    assert deepspeed.problems(load(tmp_path, {})) == []


@pytest.mark.parametrize(
    ("content", "place", "variable"),
    [
        ({"train_batch_size": 17}, "train_batch_size", "JOB_TRAIN__GLOBAL_BATCH_SIZE"),
        ({"train_micro_batch_size_per_gpu": 3}, "train_micro_batch_size_per_gpu", "JOB_TRAIN__MICRO_BATCH_SIZE"),
        ({"gradient_accumulation_steps": 1}, "gradient_accumulation_steps", "JOB_TRAIN__GLOBAL_BATCH_SIZE"),
        ({"gradient_clipping": 0.25}, "gradient_clipping", "JOB_TRAIN__MAX_GRAD_NORM"),
        ({"optimizer": {"type": "Lamb"}}, "optimizer", "JOB_TRAIN__LEARNING_RATE"),
        ({"scheduler": {"type": "WarmupLR"}}, "scheduler", "JOB_TRAIN__SCHEDULE"),
        ({"bf16": {"enabled": True}}, "bf16", "JOB_TRAIN__PRECISION"),
        ({"fp16": {"enabled": True}}, "fp16", "JOB_TRAIN__PRECISION"),
        ({"zero_optimization": {"stage": 2}}, "zero_optimization.stage", "JOB_PARALLEL__ZERO_STAGE"),
        (
            {"zero_optimization": {"offload_optimizer": {"device": "cpu"}}},
            "zero_optimization.offload_optimizer",
            "JOB_PARALLEL__OFFLOAD_OPTIMIZER",
        ),
        (
            {"zero_optimization": {"offload_param": {"device": "nvme"}}},
            "zero_optimization.offload_param",
            "JOB_PARALLEL__OFFLOAD_PARAMETERS",
        ),
    ],
)
def test_a_contradiction_names_both_places(tmp_path, content, place, variable):
    with pytest.raises(
        SettingsError, match=f"`{place}` in the file of JOB_PARALLEL__DEEPSPEED_CONFIG contradicts .*{variable}"
    ) as caught:
        load(tmp_path, content)
    assert caught.value.exit_code == 64
    assert "Lamb" not in str(caught.value)


def test_all_contradictions_at_once(tmp_path):
    with pytest.raises(SettingsError, match="2 settings are wrong"):
        load(tmp_path, {"gradient_clipping": 7, "train_batch_size": 1})


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "not valid JSON"), ("[" * 100_000, "not valid JSON"), ("[]", "a JSON object")],
    ids=["cut", "deep", "list"],
)
def test_a_file_that_is_none(tmp_path, content, says):
    with pytest.raises(SettingsError, match=says):
        load(tmp_path, content)
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load(tmp_path, "{}", PARALLEL__DEEPSPEED_CONFIG=str(tmp_path / "none.json"))


@pytest.mark.parametrize(
    "given", [{"PARALLEL__ZERO_STAGE": "2"}, {"PARALLEL__OFFLOAD_OPTIMIZER": "true"}, {"PARALLEL__DEEPSPEED_CONFIG": "x.json"}]
)
def test_settings_of_deepspeed_want_deepspeed(tmp_path, given):
    with pytest.raises(SettingsError, match="can only be given with JOB_PARALLEL__ENGINE=deepspeed"):
        root.load(tiny.environ(tmp_path, PARALLEL__ENGINE="ddp", **given))


def test_offloaded_weights_want_stage_3(tmp_path):
    given = {**ZERO3, "PARALLEL__ZERO_STAGE": "2", "PARALLEL__OFFLOAD_PARAMETERS": "true"}
    with pytest.raises(SettingsError, match="JOB_PARALLEL__OFFLOAD_PARAMETERS needs JOB_PARALLEL__ZERO_STAGE=3"):
        root.load(tiny.environ(tmp_path, **given))
