"""The task without a real model: columns of a batch, ranks among all texts of a split, the files beside the model, what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from job.errors import CrashError, HopelessError, SettingsError
from job.records import PreparedData
from job.workers.tasks.embedding import Embedding, EmbeddingAppraisal, ranks
from tests.support import tiny
from tests.support.training import OneRank, Rows

ROWS = Rows(
    [
        {"id": "a", "text": "A", "texts": [[1, 2], [3]], "keys": [1, 2]},
        {"id": "b", "text": "B", "texts": [[4], [5, 6, 7]], "keys": [3, 4]},
    ]
)


def make(tmp_path, **changes):
    prepared = PreparedData({"train": 2}, {"train": 7}, "retrieval", [], [], 8, "0", {"columns": ["anchor", "positive"]})
    return Embedding(tiny.settings(tmp_path, **changes), prepared, SimpleNamespace(pad_token_id=0, padding_side="right"))


class Table(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Parameter(torch.randn(8, 3))

    def forward(self, input_ids, attention_mask):
        return SimpleNamespace(last_hidden_state=self.table[input_ids])


def test_columns_stand_one_after_the_other(tmp_path):
    task, model = make(tmp_path), Table()
    batch = task.collate(ROWS)
    assert batch.inputs["input_ids"].tolist() == [[1, 2, 0], [4, 0, 0], [3, 0, 0], [5, 6, 7]]
    found = task._embed(model, batch)
    assert torch.allclose(found[1, 1], model.table[[5, 6, 7]].mean(dim=0))
    assert torch.allclose(found[0, 0], model.table[[1, 2]].mean(dim=0))


def test_pieces_give_the_gradient_of_the_whole(tmp_path):
    task = make(tmp_path)
    gradients = []
    for pieces in ([ROWS], [Rows(ROWS[:1]), Rows(ROWS[1:])]):
        model = Table()
        batches = task.foresee(model, [task.collate(piece) for piece in pieces], OneRank())
        for batch in batches:
            task.loss_sum(model, batch).backward()
        gradients.append(model.table.grad)
    assert gradients[0].abs().sum() > 0
    assert torch.allclose(*gradients, atol=1e-6)


def test_the_loss_needs_the_step(tmp_path):
    task = make(tmp_path)
    with pytest.raises(CrashError, match="foresee"):
        task.loss_sum(Table(), task.collate(ROWS))


def test_a_text_that_two_anchors_share_is_one_document(tmp_path):
    task = make(tmp_path)
    embeddings = np.array([[[1.0, 0], [1.0, 0.1]], [[1.0, 0.05], [1.0, 0.1]], [[0, 1.0], [0.2, 1.0]]])
    keys = np.array([[1, 9], [2, 9], [3, 8]])
    assert ranks({"embeddings": embeddings, "keys": keys}).tolist() == [1, 1, 1]
    worse = {"embeddings": embeddings[:, ::-1] * [[[1.0, 1.0], [1.0, -1.0]]], "keys": keys}
    assert max(ranks(worse)) <= 2
    scores = {"embeddings": embeddings, "keys": keys}
    assert task.metrics(scores)["mrr"] == 1.0
    with pytest.raises(HopelessError, match="not all finite"):
        task.metrics({"embeddings": embeddings * np.nan, "keys": keys})
    appraisal = EmbeddingAppraisal(task)
    assert appraisal.interval(scores, tiny.settings(tmp_path).eval, 0)["value"] == 1.0
    rows = Rows([{"id": name, "text": name} for name in "abc"])
    assert appraisal.predictions(scores, rows).mistakes == []


def test_one_example_a_step_teaches_nothing(tmp_path):
    with pytest.raises(SettingsError, match="nothing to be told apart from"):
        make(tmp_path, TRAIN__GLOBAL_BATCH_SIZE="1")
