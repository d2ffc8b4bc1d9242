import pytest

from job.workers.engine import zero_config
from tests.support import tiny


def build(folder, stage=2, precision="fp32", user=(), **given):
    settings = tiny.settings(folder, PARALLEL__ENGINE="deepspeed", PARALLEL__ZERO_STAGE=str(stage), **given)
    return zero_config.build(settings, stage, precision, 4, dict(user))


def test_what_the_job_decides(tmp_path):
    found = build(tmp_path, TRAIN__MAX_GRAD_NORM="0.5")
    assert (found["train_micro_batch_size_per_gpu"], found["gradient_accumulation_steps"], found["train_batch_size"]) == (1, 1, 4)
    assert found["gradient_clipping"] == 0.5
    assert (found["zero_optimization"]["stage"], found["zero_optimization"]["offload_optimizer"]) == (2, {"device": "none"})
    assert (found["bf16"]["enabled"], found["fp16"]["enabled"]) == (False, False)
    assert not {"optimizer", "scheduler"} & found.keys()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_precision(tmp_path, precision):
    found = build(tmp_path, precision=precision)
    assert (found["bf16"]["enabled"], found["fp16"]["enabled"]) == (precision == "bf16", precision == "fp16")


def test_offloading(tmp_path):
    found = build(tmp_path, 3, PARALLEL__OFFLOAD_OPTIMIZER="true", PARALLEL__OFFLOAD_PARAMETERS="true")["zero_optimization"]
    assert (found["offload_optimizer"], found["offload_param"]) == ({"device": "cpu"}, {"device": "cpu"})


def test_a_user_s_own_file(tmp_path):
    user = {
        "train_batch_size": "auto",
        "gradient_clipping": "auto",
        "zero_optimization": {"stage": "auto", "reduce_bucket_size": 7, "round_robin_gradients": True},
        "communication_data_type": "fp32",
        "data_types": {"grad_accum_dtype": "auto"},
    }
    found = build(tmp_path, user=user)
    assert found["zero_optimization"]["reduce_bucket_size"] == 7
    assert found["zero_optimization"]["round_robin_gradients"]
    assert found["zero_optimization"]["allgather_bucket_size"] == zero_config.BUCKET_ELEMENTS
    assert (found["zero_optimization"]["stage"], found["train_batch_size"], found["gradient_clipping"]) == (2, 4, 1.0)
    assert found["communication_data_type"] == "fp32"
    assert user["zero_optimization"]["stage"] == "auto"  # the user's own object is left alone
