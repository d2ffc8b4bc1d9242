"""The engine where there is a GPU: precision, loss scale, device, pinned memory, fused AdamW, ZeRO.  Skipped by name without one."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from job.cluster import launch
from job.cluster.topology import Topology
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


def test_the_group_is_nccls_and_outlasts_the_watchdog(tmp_path):
    """The watchdog comes first and asks for stacks; NCCL's own time-out is what is left when the node process is gone."""
    trained(tmp_path, LIMITS__STALL_TIMEOUT_S="100", **ZERO, PARALLEL__ZERO_STAGE="2")
    assert dist.get_backend() == "nccl"
    group = dist.distributed_c10d._get_default_group()._get_backend(torch.device("cuda"))
    assert group.options._timeout == dt.timedelta(seconds=160)


COLLECTIVE = """
import sys, time
import torch, torch.distributed as dist
from job.workers.collective_trace import last_collectives
from job.workers.engine import Engine
from tests.support import tiny
from pathlib import Path
folder, absent = Path(sys.argv[1]), sys.argv[2] == "absent"
engine = Engine.open(tiny.settings(folder, PARALLEL__DEVICE="cuda", LIMITS__STALL_TIMEOUT_S="1", **{gives}))
dist.all_reduce(torch.ones(3, device=engine.device))
torch.cuda.synchronize()
print(last_collectives()[-1], flush=True)
if absent:
    if engine.rank == 0:
        dist.all_reduce(torch.ones(7, device=engine.device))
        torch.cuda.synchronize()
    time.sleep(180)
"""


def start_in_environment_of_workers(folder, workers, *, absent):
    """Programs that do one collective, started with the environment that the node process gives; and where NCCL's files would be."""
    gives = {} if workers > 1 else ZERO | {"PARALLEL__ZERO_STAGE": "2"}
    shape = Topology(1, 0, 2, 1, "cuda")
    plan = launch.plan("train", folder, shape, {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])})
    (folder / "logs").mkdir()
    code = COLLECTIVE.replace("{gives}", repr(gives))
    place = {"WORLD_SIZE": str(workers), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(launch.free_port())}
    return [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), "absent" if absent else "present"],
            env={**plan.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(workers)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(workers)
    ]


def test_the_last_collectives_of_nccl_are_known(tmp_path):
    (program,) = start_in_environment_of_workers(tmp_path, 1, absent=False)
    said, _ = program.communicate(timeout=300)
    assert "nccl:all_reduce of [[3]]" in said


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two GPUs: a collective of NCCL's cannot be waited for")
def test_what_nccl_recorded_is_written_when_a_collective_times_out(tmp_path):
    programs = start_in_environment_of_workers(tmp_path, 2, absent=True)
    try:
        programs[0].wait(170)
        assert programs[0].returncode != 0
        assert list((tmp_path / "logs").glob("nccl-trace-rank-0*"))
    finally:
        for program in programs:
            program.kill()
            program.wait()
