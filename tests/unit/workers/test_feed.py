import signal

import numpy as np
import pytest
import torch

from job.workers.batching import Cut, Schedule
from job.workers.feed import IGNORED_SIGNALS, Feed, Place
from tests.support.training import RowsTask, rows

COUNT, BATCH = 11, 4
DATA = rows(COUNT)


def feed(rank=0, world_size=1, task=None):
    schedule = Schedule(np.array(DATA["length"]), BATCH, seed=5)
    return Feed(DATA, task or RowsTask(), schedule, Cut(40), Place(rank, world_size))


def labels(step):
    return [label for batch in step.batches for label in batch.labels[batch.weights > 0].tolist()]


def test_a_step_holds_the_schedule_s_examples():
    whole = feed()
    order = whole.schedule.epoch_order(0)
    step = whole[1]
    assert step.number == 1
    assert step.examples.tolist() == order[BATCH : 2 * BATCH].tolist()
    assert step.tokens == sum(DATA[int(index)]["length"] for index in step.examples)
    assert step.padded_tokens >= step.tokens
    assert whole.ids(step) == [f"row-{index}" for index in step.examples]


def test_ranks_share_a_step():
    ranks = [feed(rank, 3)[0] for rank in range(3)]
    assert len({len(step.batches) for step in ranks}) == 1
    assert sorted(label for step in ranks for label in labels(step)) == sorted(labels(feed()[0]))
    assert len({(step.tokens, step.padded_tokens) for step in ranks}) == 1


def test_steps_go_on_over_epochs():
    whole = feed()
    steps = list(whole.stream(0, 6, 0))
    assert [step.number for step in steps] == list(range(6))
    assert [len(step.examples) for step in steps] == [4, 4, 3, 4, 4, 3]
    for epoch in (0, 1):
        drawn = np.concatenate([step.examples for step in steps[3 * epoch : 3 * epoch + 3]])
        assert np.array_equal(drawn, whole.schedule.epoch_order(epoch))


def test_a_stream_begun_later_gives_the_same_steps():
    late, whole = list(feed().stream(4, 6, 0)), list(feed().stream(0, 6, 0))[4:]
    for ours, theirs in zip(late, whole, strict=True):
        assert np.array_equal(ours.examples, theirs.examples)
        for one, other in zip(ours.batches, theirs.batches, strict=True):
            assert torch.equal(one.inputs["x"], other.inputs["x"])


class SignalsTask(RowsTask):
    """Says by the labels whether the process that collates is deaf."""

    def collate(self, given, epoch=0):
        batch = super().collate(given, epoch)
        deaf = all(signal.getsignal(number) == signal.SIG_IGN for number in IGNORED_SIGNALS)
        batch.labels.fill_(int(deaf))
        return batch


@pytest.mark.parametrize("data_workers", [0, 1])
def test_data_workers_are_deaf_and_change_no_order(data_workers):
    streamed = list(feed(task=SignalsTask()).stream(1, 4, data_workers))
    for ours, theirs in zip(streamed, list(feed().stream(1, 4, 0)), strict=True):
        assert np.array_equal(ours.examples, theirs.examples)
        assert [batch.weights.tolist() for batch in ours.batches] == [batch.weights.tolist() for batch in theirs.batches]
    assert {label for step in streamed for label in labels(step)} == {data_workers}
