from types import SimpleNamespace

import pytest
import torch

from job.errors import CrashError
from job.workers.engine import proof
from job.workers.engine.base import Engine, num_elements
from tests.support.training import OneRank

NOTHING_FROZEN = proof.frozen_fingerprint([])


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_autocast(precision, dtype):
    engine = OneRank()
    engine.precision = precision
    with Engine.autocast(engine):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


@pytest.mark.parametrize(("world_size", "lockstep", "compares"), [(1, False, False), (2, False, True), (2, True, False)])
def test_copies_are_compared_where_there_are_copies(world_size, lockstep, compares):
    engine = OneRank(0, world_size)
    engine.lockstep = lockstep
    engine.gather = lambda value: [value, "another"] if isinstance(value, str) else [value, False]
    if compares:
        with pytest.raises(CrashError, match="rank 1 differ"):
            Engine.check_weights(engine, torch.nn.Linear(2, 2), NOTHING_FROZEN)
    else:
        Engine.check_weights(engine, torch.nn.Linear(2, 2), NOTHING_FROZEN)


@pytest.mark.parametrize("lockstep", [False, True])
def test_frozen_weights_are_looked_at_under_any_engine(lockstep):
    engine, model = OneRank(), torch.nn.Linear(2, 2).requires_grad_(False)
    engine.lockstep = lockstep
    before = proof.frozen_fingerprint(model.parameters())
    Engine.check_weights(engine, model, before)
    model.bias.add_(1)
    with pytest.raises(CrashError, match="not to be trained have changed on rank 0"):
        Engine.check_weights(engine, model, before)


def test_elements_of_a_parameter_that_is_spread():
    assert num_elements(torch.ones(2, 3)) == 6
    assert num_elements(SimpleNamespace(ds_numel=60)) == 60
