"""A batch keeps its parts together when it moves."""

import torch

from job.workers.tasks.base import Batch


def test_a_batch_moves_with_all_its_tensors():
    inputs = {"input_ids": torch.ones(2, 3), "attention_mask": torch.ones(2, 3)}
    batch = Batch(inputs, torch.zeros(2), torch.ones(2), {"reference": torch.ones(2)})
    moved = batch.to(torch.device("meta"))
    assert set(moved.inputs) == {"input_ids", "attention_mask"}
    assert {tensor.device.type for tensor in (*moved.inputs.values(), *moved.extras.values(), moved.labels, moved.weights)} == {
        "meta"
    }
    assert batch.labels.device.type == "cpu"
