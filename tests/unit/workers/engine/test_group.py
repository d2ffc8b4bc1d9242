"""One process; what needs several is in ``tests/integration``."""

import random

import numpy as np
import pytest
import torch
import torch.distributed as dist

from job.cluster.topology import WorkerPlace
from job.errors import CrashError, SettingsError
from job.workers.engine import group as groups
from job.workers.engine.group import Group, check_place, choose_device, choose_precision, join
from tests.support import tiny

CPU = torch.device("cpu")


def of_rank(rank, world_size=2):
    return Group(WorkerPlace(rank, rank, world_size), CPU, "fp32")


def test_alone(tmp_path):
    alone = join(tiny.settings(tmp_path, PARALLEL__DEVICE="cpu"), alone_too=False)
    assert (alone.rank, alone.world_size, alone.is_main, alone.device.type, alone.precision) == (0, 1, True, "cpu", "fp32")
    assert alone.sum([1.5, 2.0]) == [1.5, 2.0]
    assert alone.gather("x") == ["x"]
    assert alone.broadcast({"a": 1}) == {"a": 1}
    alone.barrier()
    assert not dist.is_initialized()


def test_a_group_of_one_where_an_engine_wants_one(tmp_path):
    try:
        join(tiny.settings(tmp_path, PARALLEL__DEVICE="cpu"), alone_too=True)
        assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
        join(tiny.settings(tmp_path, PARALLEL__DEVICE="cpu"), alone_too=True)  # and only once
    finally:
        dist.destroy_process_group()


def test_a_group_of_another_size_is_noticed(tmp_path, monkeypatch):
    """What a library that does not see its backend makes of it: each process alone."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    with pytest.raises(CrashError, match="has 1 processes and this is number 0; the launcher started 2"):
        join(tiny.settings(tmp_path, PARALLEL__DEVICE="cpu"), alone_too=False)
    with pytest.raises(CrashError, match="launcher started 2 and called it 1"):
        check_place(of_rank(1), WorkerPlace(1, 1, 2))


def test_a_gpu_that_torch_cannot_use(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="JOB_PARALLEL__DEVICE=cuda"):
        choose_device(tiny.settings(tmp_path, PARALLEL__DEVICE="cuda"), WorkerPlace(0, 0, 1))
    assert choose_device(tiny.settings(tmp_path), WorkerPlace(0, 0, 1)) == CPU


@pytest.mark.parametrize(
    ("precision", "native", "chosen"),
    [("fp32", True, "fp32"), ("bf16", False, "bf16"), ("auto", True, "bf16"), ("auto", False, "fp32")],
)
def test_precision(tmp_path, monkeypatch, precision, native, chosen):
    monkeypatch.setattr(groups, "native_bf16", lambda device: native and device == "cpu")
    assert choose_precision(tiny.settings(tmp_path, TRAIN__PRECISION=precision), CPU) == chosen


def test_float16_needs_a_gpu(tmp_path):
    settings = tiny.settings(tmp_path, TRAIN__PRECISION="fp16")
    with pytest.raises(SettingsError, match="JOB_TRAIN__PRECISION=fp16 needs a GPU"):
        choose_precision(settings, CPU)
    assert choose_precision(settings, torch.device("cuda", 0)) == "fp16"


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [({}, False), ({"avx512_bf16": False}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)
def test_native_bf16(monkeypatch, capabilities, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert groups.native_bf16("cpu") is native


def drawn(group, *numbers):
    group.seed(*numbers)
    return (float(torch.rand(1, dtype=torch.float64)), float(np.random.random()), random.random())  # noqa: NPY002 - what libraries under us draw from


def test_seeds_are_a_function_of_numbers_and_rank():
    ranks = [of_rank(rank) for rank in (0, 1)]
    before = torch.get_rng_state(), random.getstate()
    try:
        assert drawn(ranks[0], 42, 7) == drawn(ranks[0], 42, 7)
        draws = [drawn(rank, *numbers) for rank in ranks for numbers in [(42, 7), (42, 8), (43, 7), (7, 42)]]
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
    for generator in zip(*draws, strict=True):
        assert len(set(generator)) == len(draws)
