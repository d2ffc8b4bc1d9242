"""Torch's own scaler, on the CPU; DeepSpeed's is in ``tests/integration/test_engines.py``."""

from types import SimpleNamespace

import pytest
import torch

from job.workers.engine import loss_scale

INTERVAL = 3


def scaler(init_scale=2.0**16):
    return torch.amp.GradScaler("cpu", init_scale=init_scale, growth_interval=INTERVAL)


def turn(scaler, *, finite=True):
    """One step as the engine takes it."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    scaler.scale(parameter.sum() * (1.0 if finite else float("inf"))).backward()
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()


def test_a_scaler_goes_on_where_another_stopped():
    first = scaler(8.0)
    for finite in (False, False, True, True):
        turn(first, finite=finite)
    assert loss_scale.read(first) == {"scale": 2.0, "good_steps": 2}
    second = scaler()
    loss_scale.restore(second, loss_scale.read(first))
    for each in (first, second):
        turn(each)
        assert each.get_scale() == 4.0


def test_a_longer_count_than_its_interval_does_not_keep_it_from_growing():
    found = scaler()
    loss_scale.restore(found, {"scale": 2.0, "good_steps": 7 * INTERVAL + 1, "hysteresis": 2})
    turn(found)
    assert found.get_scale() == 2.0
    turn(found)
    assert found.get_scale() == 4.0


@pytest.mark.parametrize("none", [None, torch.amp.GradScaler("cpu", enabled=False), SimpleNamespace(dynamic=False)])
def test_where_nothing_is_scaled_there_is_nothing_to_keep(none):
    assert loss_scale.read(none) is None
    loss_scale.restore(none, {"scale": 2.0, "good_steps": 0})
    found = scaler(8.0)
    loss_scale.restore(found, loss_scale.read(none))
    assert found.get_scale() == 8.0
