"""One process of the real engine; what needs several is in ``tests/integration``.  A fake there: the accelerator of more than one."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from job.errors import CrashError, SettingsError
from job.workers import engine as engines
from job.workers.engine import Engine
from tests.support import tiny


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return Engine.open(tiny.settings(tmp_path_factory.mktemp("engine"), PARALLEL__DEVICE="cpu"))


def of_rank(rank, world_size, folder, engine="auto", prepared=lambda model: model):
    accelerator = SimpleNamespace(
        process_index=rank,
        num_processes=world_size,
        is_main_process=rank == 0,
        device=torch.device("cpu"),
        mixed_precision="no",
        prepare_model=prepared,
    )
    return Engine(accelerator, tiny.settings(folder, PARALLEL__ENGINE=engine))


def test_alone(alone):
    assert (alone.rank, alone.world_size, alone.is_main, alone.device.type, alone.precision) == (0, 1, True, "cpu", "fp32")
    assert alone.sum([1.5, 2.0]) == [1.5, 2.0]
    assert alone.gather("x") == ["x"]
    assert alone.broadcast({"a": 1}) == {"a": 1}
    alone.barrier()


def test_wraps_and_describes(alone):
    model = torch.nn.Linear(2, 2)
    wrapped = alone.wrap(model)
    described = alone.describe(wrapped)
    assert described["kind"] == "single"
    assert described["wrapped_class"] == "Linear"
    assert (described["world_size"], described["device"], described["precision"]) == (1, "cpu", "fp32")
    with alone.accumulating(wrapped, last=False), alone.accumulating(wrapped, last=True):
        pass


@pytest.mark.parametrize(("engine", "world_size"), [("ddp", 1), ("ddp", 2), ("auto", 2)])
def test_an_engine_that_is_not_there_is_noticed(tmp_path, engine, world_size):
    with pytest.raises(CrashError, match=f"JOB_PARALLEL__ENGINE={engine} was asked for; the model became Linear on {world_size}"):
        of_rank(0, world_size, tmp_path, engine).wrap(torch.nn.Linear(2, 2))


def test_single_that_became_replicas_is_noticed(tmp_path, monkeypatch):
    class Replica(torch.nn.Module):
        pass

    monkeypatch.setattr(engines, "DistributedDataParallel", Replica)
    with pytest.raises(CrashError, match="became Replica"):
        of_rank(0, 2, tmp_path, "single", lambda _: Replica()).wrap(torch.nn.Linear(2, 2))
    assert isinstance(of_rank(0, 2, tmp_path, "auto", lambda _: Replica()).wrap(torch.nn.Linear(2, 2)), Replica)


def test_a_group_of_another_size_is_noticed(tmp_path, monkeypatch):
    lone = SimpleNamespace(process_index=0, num_processes=1, is_main_process=True, device=torch.device("cpu"), mixed_precision="no")
    monkeypatch.setattr(engines, "Accelerator", lambda **_: lone)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(CrashError, match="has 1 processes and this is number 0; the launcher started 2"):
        Engine.open(tiny.settings(tmp_path, PARALLEL__DEVICE="cpu"))


def test_a_gpu_that_torch_cannot_use(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="JOB_PARALLEL__DEVICE=cuda"):
        Engine.open(tiny.settings(tmp_path, PARALLEL__DEVICE="cuda"))


@pytest.mark.parametrize(
    ("precision", "native", "mixed"), [("fp32", True, "no"), ("bf16", False, "bf16"), ("auto", True, "bf16"), ("auto", False, "no")]
)
def test_precision(tmp_path, monkeypatch, precision, native, mixed):
    given = {}

    def accelerator(**values):
        given.update(values)
        return SimpleNamespace(
            process_index=0,
            num_processes=1,
            is_main_process=True,
            device=torch.device("cpu"),
            mixed_precision=values["mixed_precision"],
        )

    monkeypatch.setattr(engines, "Accelerator", accelerator)
    monkeypatch.setattr(engines, "native_bf16", lambda device: native and device == "cpu")
    opened = Engine.open(tiny.settings(tmp_path, TRAIN__PRECISION=precision, PARALLEL__DEVICE="cpu"))
    assert (given["mixed_precision"], given["cpu"]) == (mixed, True)
    assert opened.precision == ("bf16" if mixed == "bf16" else "fp32")


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [({}, False), ({"avx512_bf16": False}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)
def test_native_bf16(monkeypatch, capabilities, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert engines.native_bf16("cpu") is native


def drawn(engine, *numbers):
    engine.seed(*numbers)
    return (float(torch.rand(1, dtype=torch.float64)), float(np.random.random()), random.random())  # noqa: NPY002 - what libraries under us draw from


def test_seeds_are_a_function_of_numbers_and_rank(tmp_path):
    ranks = [of_rank(rank, 2, tmp_path) for rank in (0, 1)]
    before = torch.get_rng_state(), random.getstate()
    try:
        assert drawn(ranks[0], 42, 7) == drawn(ranks[0], 42, 7)
        draws = [drawn(rank, *numbers) for rank in ranks for numbers in [(42, 7), (42, 8), (43, 7), (7, 42)]]
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
    for generator in zip(*draws, strict=True):
        assert len(set(generator)) == len(draws)
