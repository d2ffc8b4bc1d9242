"""One process of the real engine; several are in ``tests/integration/test_engines.py``."""

import math
from types import SimpleNamespace

import pytest
import torch

from job.errors import CrashError
from job.workers.engine import Engine
from job.workers.engine.replicas import Replicas
from tests.support import tiny
from tests.support.training import OneRank


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return Engine.open(tiny.settings(tmp_path_factory.mktemp("engine"), PARALLEL__DEVICE="cpu", TRAIN__MAX_GRAD_NORM="0.5"))


def prepared(engine):
    model = torch.nn.Linear(2, 2)
    return engine.prepare(model, torch.optim.SGD(model.parameters(), lr=1.0))


def test_wraps_and_describes(alone):
    assert isinstance(alone, Replicas)
    wrapped, _ = prepared(alone)
    described = alone.describe(wrapped)
    assert (described["kind"], described["wrapped_class"], described["world_size"]) == ("single", "Linear", 1)
    assert (described["device"], described["precision"]) == ("cpu", "fp32")
    with alone.accumulating(wrapped, last=False), alone.accumulating(wrapped, last=True):
        pass


@pytest.mark.parametrize(("engine", "world_size"), [("ddp", 1), ("ddp", 2), ("auto", 2)])
def test_an_engine_that_is_not_there_is_noticed(tmp_path, monkeypatch, engine, world_size):
    opened = Engine.open(tiny.settings(tmp_path, PARALLEL__DEVICE="cpu"))
    opened.kind, opened.world_size = ("ddp", world_size)
    monkeypatch.setattr(opened, "gather", lambda facts: [facts] * world_size)
    monkeypatch.setattr(opened, "broadcast", lambda value: value)
    with pytest.raises(CrashError, match=f"asked for ddp on {world_size} process.*the model is a Linear"):
        prepared(opened)


def step(engine, wrapped, optimizer, factor=1.0, *, usable=True):
    engine.backward(wrapped, factor * wrapped(torch.ones(1, 2)).sum())
    return engine.update(wrapped, optimizer, usable=usable)


def test_update_clips_and_steps(alone):
    wrapped, optimizer = prepared(alone)
    before = wrapped.bias.detach().clone()
    update = step(alone, wrapped, optimizer)
    assert update.grad_norm == pytest.approx(math.sqrt(6))
    assert torch.allclose(before - wrapped.bias, torch.full((2,), 0.5 / math.sqrt(6)), rtol=1e-4)
    assert wrapped.bias.grad is None


@pytest.mark.parametrize(("factor", "usable"), [(math.nan, True), (math.inf, True), (1.0, False)])
def test_no_update_from_what_is_not_finite(alone, factor, usable):
    wrapped, optimizer = prepared(alone)
    before = wrapped.bias.detach().clone()
    assert not step(alone, wrapped, optimizer, factor, usable=usable).rescaled
    assert torch.equal(wrapped.bias, before)
    assert wrapped.bias.grad is None


def test_a_loss_scale_that_was_too_high_is_lowered_and_nothing_else_happens():
    """The scaler of float16, on the CPU, where torch has one as well."""
    engine = OneRank()
    engine.accelerator = SimpleNamespace(scaler=torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1))
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = model.bias.detach().clone()
    assert step(engine, model, optimizer, math.inf).rescaled
    assert torch.equal(model.bias, before)
    assert engine.accelerator.scaler.get_scale() == 2
    update = step(engine, model, optimizer)
    assert (update.rescaled, update.grad_norm) == (False, pytest.approx(math.sqrt(6)))
    assert torch.allclose(before - model.bias, torch.ones(2))
