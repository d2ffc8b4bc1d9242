from types import SimpleNamespace

import pytest
import torch

from job.errors import CrashError
from job.workers.tasks.base import Batch
from job.workers.tuning import merging
from tests.support.training import TwoLayers

BATCHES = [
    Batch({"x": rows}, torch.zeros(len(rows)), torch.ones(len(rows)))
    for rows in (torch.eye(3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64))
]


class Apart(TwoLayers):
    """The same outputs, but for one of them by ``distance``."""

    distance = 0.0

    def forward(self, x):
        logits = super().forward(x).logits
        logits[0, 0] += self.distance
        return SimpleNamespace(logits=logits)


def test_the_largest_difference_is_told():
    apart = Apart()
    apart.distance = 1e-5
    found = merging.difference(apart, TwoLayers(), BATCHES)
    assert found["max_abs_difference"] == pytest.approx(1e-5, rel=0.01)
    assert (found["num_examples"], found["bound"]) == (4, merging.BOUND)
    assert found["max_abs_output"] > 0.1


@pytest.mark.parametrize("distance", [0.01, float("nan")])
def test_too_large_a_difference_is_a_crash(distance):
    apart = Apart()
    apart.distance = distance
    with pytest.raises(CrashError, match="merged model gives other outputs"):
        merging.difference(apart, TwoLayers(), BATCHES)


def test_without_a_head_the_hidden_states_are_compared():
    class Bare(TwoLayers):
        def forward(self, x):
            return SimpleNamespace(last_hidden_state=super().forward(x).logits)

    assert merging.difference(Bare(), Bare(), BATCHES)["max_abs_output"] > 0.1
    with pytest.raises(CrashError):
        merging.difference(Bare(), Bare(seed=1), BATCHES)
