"""What of ZeRO can be seen without DeepSpeed; the real thing is in ``tests/integration/test_engines.py``."""

import math
from types import SimpleNamespace

import pytest
import torch

from job.workers.engine.zero import Zero, _gradients_discarded
from tests.support import tiny
from tests.support.training import OneRank


@pytest.mark.parametrize(("stage", "lockstep"), [(1, False), (2, False), (3, True)])
def test_stages(tmp_path, stage, lockstep):
    engine = Zero(OneRank(1, 2), tiny.settings(tmp_path), stage)
    assert (engine.kind, engine.lockstep, engine.rank, engine.world_size) == (f"zero{stage}", lockstep, 1, 2)


@pytest.mark.parametrize("name", ["_get_norm_groups", "scaled_global_norm"])
def test_within_every_norm_is_invalid(name):
    class Optimizer:
        pass

    setattr(Optimizer, name, lambda _: "the norm")
    zero = Optimizer()
    with _gradients_discarded(zero):
        found = getattr(zero, name)()
        assert float(found[0] if isinstance(found, list) else found) == -1
    assert getattr(zero, name)() == "the norm"


def test_gradients_of_the_optimizer_that_asks_nobody_are_made_invalid():
    zero = SimpleNamespace(fp32_groups_gradients_flat=[torch.ones(3)])
    with _gradients_discarded(zero):
        assert math.isnan(float(zero.fp32_groups_gradients_flat[0][0]))
