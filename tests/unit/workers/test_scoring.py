import numpy as np
import pytest
import torch

from job.errors import HopelessError
from job.workers import scoring
from job.workers.batching import MicroBatch
from job.workers.scoring import Examples, batches, heaviest_piece, score
from tests.support.training import OneRank, RowsTask, Scarce, TwoLayers, rows


class Group:
    """Ranks that are run one after the other, rank 0 last; gathers what they hand in."""

    def __init__(self, world_size):
        self.world_size = world_size
        self.handed_in = {}

    def run(self, model, examples):
        results = [score(self._rank(rank), model, examples) for rank in reversed(range(self.world_size))]
        assert all(result is None for result in results[:-1])
        return results[-1]

    def _rank(self, rank):
        engine = OneRank(rank, self.world_size)

        def gather(value):
            self.handed_in[rank] = value
            return [self.handed_in[each] for each in range(self.world_size)] if rank == 0 else None

        engine.gather = gather
        return engine


def expected(model, data):
    with torch.no_grad():
        return model(torch.tensor(np.array(data["x"]))).logits.float().numpy()


@pytest.mark.parametrize(("count", "world_size"), [(1, 1), (37, 1), (37, 2), (37, 4), (3, 4)])
def test_every_example_once_in_the_order_of_the_split(monkeypatch, count, world_size):
    monkeypatch.setattr(scoring, "ROUND_TOKENS", 10)
    model, data = TwoLayers(), rows(count)
    scores = Group(world_size).run(model, Examples(RowsTask(), data, 64))
    assert scores["logits"].dtype == np.float32
    np.testing.assert_allclose(scores["logits"], expected(model, data), rtol=1e-6)
    assert scores["labels"].tolist() == data["label"]


class Watched(TwoLayers):
    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, x):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.sizes.append(len(x))
        return super().forward(x)


def test_the_budget_holds_and_the_mode_comes_back():
    model = Watched().train()
    data = rows(20, longest=1)
    assert score(OneRank(), model, Examples(RowsTask(), data, 3)) is not None
    assert max(model.sizes) == 3
    assert model.training
    model.eval()
    score(OneRank(), model, Examples(RowsTask(), data, 3))
    assert not model.training


def test_asked_between_rounds_whether_to_go_on(monkeypatch):
    monkeypatch.setattr(scoring, "ROUND_TOKENS", 10)
    model = Watched().train()
    answers = iter([True, True, False])
    assert score(OneRank(), model, Examples(RowsTask(), rows(40, longest=1), 1000), lambda: next(answers)) is None
    assert sum(model.sizes) == 20
    assert model.training


def test_an_example_scored_twice_is_noticed(monkeypatch):
    monkeypatch.setattr(scoring, "plan_step", lambda *_: [[MicroBatch((0, 1)), MicroBatch((1,))]])
    with pytest.raises(AssertionError, match="twice or not at all"):
        score(OneRank(), TwoLayers(), Examples(RowsTask(), rows(2), 10))


def test_fillers_weigh_nothing():
    data = rows(3)
    real, filler = batches(RowsTask(), data, [MicroBatch((2, 0)), MicroBatch((1,), filler=True)], 0)
    assert real.weights.tolist() == [data[2]["weight"], data[0]["weight"]]
    assert filler.weights.tolist() == [0.0]
    assert filler.labels.tolist() == [data[1]["label"]]


def test_out_of_memory_a_micro_batch_is_scored_in_halves(caplog):
    model, data, task = TwoLayers(), rows(37), Scarce(most=3)
    scores = Group(2).run(model, Examples(task, data, 64 * 40))
    assert max(task.tried) > 3
    np.testing.assert_allclose(scores["logits"], expected(model, data), rtol=1e-6)
    assert "going on with half" in caplog.text


def test_out_of_memory_with_one_example_or_while_others_wait_is_hopeless():
    with pytest.raises(HopelessError, match="scoring 1 example"):
        score(OneRank(), TwoLayers(), Examples(Scarce(0), rows(8), 1000))
    together = OneRank()
    together.lockstep = True
    with pytest.raises(HopelessError, match="scoring 8 example"):
        score(together, TwoLayers(), Examples(Scarce(3), rows(8), 1000))


def test_the_heaviest_piece_holds_the_longest():
    data = rows(37)
    piece = heaviest_piece(Examples(RowsTask(), data, 64), torch.device("cpu"))
    assert data[piece.indices[0]]["length"] == max(data["length"])
    assert len(piece.indices) == 64 // max(data["length"])
