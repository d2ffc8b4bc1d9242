"""The engine where there is a GPU: precision, loss scale, device, pinned memory, fused AdamW, ZeRO.  Skipped by name without one."""

import pytest
import torch
import torch.distributed as dist

from job.settings.train import TrainSettings
from job.workers.engine import Engine, loss_scale
from job.workers.optimizer import make_optimizer
from tests.support import tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: the engine's part on CUDA is not tested"),
    pytest.mark.filterwarnings("ignore"),
]
ZERO = {"PARALLEL__ENGINE": "deepspeed"}


@pytest.fixture(autouse=True)
def _group():
    from accelerate.state import AcceleratorState

    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    if dist.is_initialized():
        dist.destroy_process_group()


def trained(folder, **given):
    """The engine, and the loss before and after a few steps on one batch."""
    settings = tiny.settings(folder, PARALLEL__DEVICE="cuda", **given)
    engine = Engine.open(settings)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.Tanh(), torch.nn.Linear(32, 4))
    wrapped, optimizer = engine.prepare(model, make_optimizer(model, TrainSettings(learning_rate=1e-2)))
    dtype = next(wrapped.parameters()).dtype
    inputs = torch.randn(8, 16).pin_memory().to(engine.device, non_blocking=True).to(dtype)
    losses = []
    for _ in range(20):
        with engine.accumulating(wrapped, last=True):
            loss = wrapped(inputs).float().square().mean()
            engine.backward(wrapped, loss)
        engine.update(wrapped, optimizer, usable=True)
        losses.append(float(loss.detach()))
    return engine, losses


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("given", [{}, ZERO | {"PARALLEL__ZERO_STAGE": "2"}, ZERO | {"PARALLEL__ZERO_STAGE": "3"}])
def test_every_precision_learns(tmp_path, precision, given):
    engine, losses = trained(tmp_path, TRAIN__PRECISION=precision, **given)
    assert (engine.device.type, engine.precision) == ("cuda", precision)
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("given", [{}, ZERO | {"PARALLEL__ZERO_STAGE": "2"}, ZERO | {"PARALLEL__ZERO_STAGE": "3"}])
def test_the_loss_scale_of_float16_can_be_kept(tmp_path, given):
    settings = tiny.settings(tmp_path, PARALLEL__DEVICE="cuda", TRAIN__PRECISION="fp16", **given)
    engine = Engine.open(settings)
    model = torch.nn.Linear(16, 4)
    _, optimizer = engine.prepare(model, make_optimizer(model, TrainSettings()))
    scaler = engine.tensors(model, optimizer).loss_scaler
    loss_scale.restore(scaler, {"scale": 32.0, "good_steps": 5})
    kept = loss_scale.read(scaler)
    assert (kept["scale"], kept["good_steps"]) == (32.0, 5)


@pytest.mark.parametrize("tf32", ["true", "false"])
def test_tf32(tmp_path, tf32):
    trained(tmp_path, TRAIN__PRECISION="fp32", TRAIN__TF32=tf32)
    assert torch.get_float32_matmul_precision() == ("high" if tf32 == "true" else "highest")


def test_offloading(tmp_path):
    given = ZERO | {"PARALLEL__ZERO_STAGE": "3", "PARALLEL__OFFLOAD_OPTIMIZER": "true", "PARALLEL__OFFLOAD_PARAMETERS": "true"}
    _, losses = trained(tmp_path, TRAIN__PRECISION="bf16", **given)
    assert losses[-1] < losses[0] / 2
