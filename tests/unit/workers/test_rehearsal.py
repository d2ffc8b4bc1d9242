import pytest
import torch

from job.errors import HopelessError
from job.workers.batching import Cut
from job.workers.rehearsal import rehearse
from job.workers.scoring import Examples
from tests.support.training import Scarce, TwoLayers, rows
from tests.unit.workers.test_loop import make_loop, weights


def rehearsed(folder, task, cut=None, held_out=8):
    data = rows(40)
    loop = make_loop(folder, data, cut=cut or Cut(10**4), model=TwoLayers(), task=task)
    before = weights(loop.parts.wrapped)
    rehearse(loop, loop.parts.wrapped, Examples(task, rows(held_out, seed=1), 10**4))
    assert torch.equal(weights(loop.parts.wrapped), before)
    assert all(parameter.grad is None for parameter in loop.parts.wrapped.parameters())
    assert loop.parts.wrapped.training
    assert not loop.parts.optimizer.state
    return loop


def test_the_whole_share_of_a_step_and_the_heaviest_of_the_split_are_tried(tmp_path):
    task = Scarce(most=100)
    rehearsed(tmp_path, task)
    assert task.tried == [16, 8]


def test_training_is_cut_until_it_fits_before_the_first_step(tmp_path):
    task = Scarce(most=5)
    loop = rehearsed(tmp_path, task, held_out=4)
    assert task.tried[0] == 16
    assert max(len(piece.indices) for piece in loop.parts.feed.heaviest()) <= 5
    task.tried.clear()
    loop.take_step(loop.parts.feed[0])
    assert max(task.tried) <= 5


def test_room_for_the_optimizer_s_state_is_taken_meanwhile(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr("job.workers.rehearsal.torch.empty_like", lambda weight: taken.append(weight.numel()))
    loop = rehearsed(tmp_path, Scarce(most=100))
    assert sum(taken) == 2 * len(weights(loop.parts.wrapped))


@pytest.mark.parametrize(("most", "held_out"), [(0, 8), (0, 1)])
def test_one_example_that_does_not_fit_ends_the_run_before_it_began(tmp_path, most, held_out):
    with pytest.raises(HopelessError):
        rehearsed(tmp_path, Scarce(most), held_out=held_out)


def test_where_no_step_can_be_taken_again_nothing_is_rehearsed(tmp_path):
    task = Scarce(most=100)
    task.collective = True
    loop = make_loop(tmp_path, rows(40), task=task)
    loop.memory.recovers = False
    rehearse(loop, loop.parts.wrapped, Examples(task, rows(8), 10**4))
    assert task.tried == []
