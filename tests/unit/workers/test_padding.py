import numpy as np
import pytest
import torch

from job.workers.padding import Padding


@pytest.mark.parametrize(("side", "short"), [("right", [7, 0, 0]), ("left", [0, 0, 7])])
def test_rows_are_filled_at_their_side(side, short):
    padded = Padding(side, 1).pad([[1, 2, 3], [7]], 0)
    assert padded.tolist() == [[1, 2, 3], short]
    assert padded.dtype == torch.int64


def test_lengths_are_rounded_up_and_numbers_keep_their_type():
    padded = Padding("right", 4).pad([[0.5], [1.0, 2.0]], -1.0, np.float32)
    assert padded.tolist() == [[0.5, -1, -1, -1], [1, 2, -1, -1]]
    assert padded.dtype == torch.float32
