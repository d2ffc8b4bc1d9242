"""Padding on either side changes no vector."""

import pytest
import torch

from job.workers.pooling import POOLINGS, pool

HIDDEN = torch.tensor([[1.0, -2.0], [3.0, 5.0], [-7.0, 0.5]])
EXPECTED = {"mean": HIDDEN.mean(dim=0), "cls": HIDDEN[0], "last": HIDDEN[2], "max": torch.tensor([3.0, 5.0])}


@pytest.mark.parametrize("how", POOLINGS)
@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("after", [0, 3])
def test_padding_is_not_seen(how, before, after):
    rubbish = torch.full((before + after, 2), 99.0)
    hidden = torch.cat([rubbish[:before], HIDDEN, rubbish[before:]])[None]
    mask = torch.tensor([[0] * before + [1] * 3 + [0] * after])
    assert torch.allclose(pool(how, hidden, mask)[0], EXPECTED[how])


def test_the_table_is_what_is_expected():
    assert set(POOLINGS) == set(EXPECTED)
