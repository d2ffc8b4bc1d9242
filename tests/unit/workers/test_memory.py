import pytest
import torch

from job.errors import CrashError, HopelessError
from job.workers.batching import Cut
from job.workers.memory import Memory
from tests.support.training import OneRank
from tests.unit.workers.test_feed import feed

FULL = torch.OutOfMemoryError("CUDA out of memory.")


def make(engine=None, collective=False):
    return Memory(engine or OneRank(), feed(), collective=collective)


def run_short(memory, rows=4, **how):
    with memory.watched(rows, **how):
        raise FULL


def test_other_errors_go_on():
    memory = make()
    with pytest.raises(ValueError, match="x"), memory.watched(4):
        raise ValueError("x")
    assert not memory.given_up()


def test_a_shortage_is_noted_and_asked_for_once():
    memory = make()
    run_short(memory)
    assert memory.short
    assert memory.given_up()
    assert not memory.given_up()


def test_another_rank_s_shortage_counts():
    engine = OneRank(0, 2)
    engine.sum = lambda values: [value + other for value, other in zip(values, (1.0, 0.0), strict=True)]
    assert make(engine).given_up()


@pytest.mark.parametrize("elsewhere", [0.0, 1.0])
def test_one_example_that_does_not_fit_on_any_rank_is_hopeless_on_all(elsewhere):
    engine = OneRank(0, 2)
    engine.sum = lambda values: [values[0] + elsewhere, values[1] + elsewhere]
    memory = make(engine)
    run_short(memory, rows=2 if elsewhere else 1)
    with pytest.raises(HopelessError, match="single example") as caught:
        memory.given_up()
    assert "JOB_TRAIN__MICRO_BATCH_TOKENS" in caught.value.hint


def deaf_engine():
    engine = OneRank(1, 2)
    engine.repeatable = False
    return engine


@pytest.mark.parametrize("memory", [make(deaf_engine()), make(OneRank(1, 2), collective=True)], ids=["engine", "task"])
def test_where_no_step_can_be_taken_again_it_ends_at_once(memory):
    memory._engine.sum = None  # no collective: the others are elsewhere
    assert not memory.given_up()
    with pytest.raises(HopelessError, match="rank 1: CUDA out of memory"):
        run_short(memory)


def test_while_gradients_are_exchanged_only_a_new_start_helps():
    with pytest.raises(CrashError, match="exchanged") as caught:
        run_short(make(OneRank(1, 2)), together=True)
    assert caught.value.exit_code == 70
    memory = make()
    run_short(memory, together=True)  # alone there is nobody who waits
    assert memory.given_up()


def test_the_budget_is_halved_from_the_largest_micro_batch_that_can_be_cut():
    memory = make()
    memory._feed.cut = Cut(10**6, max_examples=100)
    before = memory._feed[0]
    (largest,) = {len(batch.weights) for batch in before.batches}
    step = memory.smaller(0)
    assert max(len(batch.weights) for batch in step.batches) <= (largest + 1) // 2
    assert step.examples.tolist() == before.examples.tolist()
    assert sorted(step.mine) == sorted(before.mine)
    assert memory._feed.cut.max_tokens < 10**5
    assert memory._feed.cut.max_examples == 100
