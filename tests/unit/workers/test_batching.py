import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.workers.batching import GROUPED_STEPS, Cut, MicroBatch, Schedule, heaviest, padded_tokens, plan_step

few = settings(max_examples=40, deadline=None)
lengths_of_steps = st.lists(st.integers(1, 64), min_size=1, max_size=40).map(lambda found: np.array(found, dtype=np.int64))
cuts = st.builds(
    Cut,
    max_tokens=st.integers(1, 200),
    max_examples=st.none() | st.integers(1, 8),
    by_length=st.booleans(),
    overhead_tokens=st.sampled_from([0, 16, 2048]),
)


@few
@given(lengths_of_steps, st.integers(1, 4), cuts, st.randoms())
def test_a_plan_deals_every_example_once_within_the_budgets(lengths, world_size, cut, random):
    examples = np.array(random.sample(range(len(lengths)), k=random.randint(1, len(lengths))))
    plan = plan_step(examples, lengths, world_size, cut)

    real = [index for pieces in plan for piece in pieces if not piece.filler for index in piece.indices]
    assert sorted(real) == sorted(examples.tolist())
    assert len(plan) == world_size
    assert len({len(pieces) for pieces in plan}) == 1
    for piece in itertools.chain.from_iterable(plan):
        rows = len(piece.indices)
        assert rows >= 1
        assert rows <= (cut.max_examples or rows)
        assert rows == 1 or rows * lengths[list(piece.indices)].max() <= cut.max_tokens


@few
@given(lengths_of_steps, st.integers(1, 4), cuts)
def test_fillers_only_where_a_rank_has_nothing_left_to_halve(lengths, world_size, cut):
    plan = plan_step(np.arange(len(lengths)), lengths, world_size, cut)
    for pieces in plan:
        fillers = [piece for piece in pieces if piece.filler]
        if fillers:
            assert all(len(piece.indices) == 1 for piece in pieces)
            assert all(lengths[piece.indices[0]] == lengths.min() for piece in fillers)


@few
@given(lengths_of_steps, st.integers(1, 4))
def test_ranks_get_like_shares(lengths, world_size):
    plan = plan_step(np.arange(len(lengths)), lengths, world_size, Cut(10_000))
    counts = [sum(len(piece.indices) for piece in pieces if not piece.filler) for pieces in plan]
    tokens = [sum(lengths[list(piece.indices)].sum() for piece in pieces if not piece.filler) for pieces in plan]
    assert max(counts) - min(counts) <= 1
    assert max(tokens) - min(tokens) <= lengths.max()


def test_examples_are_dealt_forth_and_back():
    plan = plan_step(np.arange(6), np.array([9, 8, 7, 6, 5, 4]), 2, Cut(1000))
    assert plan == [[MicroBatch((0, 3, 4))], [MicroBatch((1, 2, 5))]]


def test_fewer_examples_than_ranks():
    plan = plan_step(np.array([4, 2]), np.array([9, 9, 3, 9, 5]), 4, Cut(100))
    assert [pieces[0].filler for pieces in plan] == [False, False, True, True]
    assert [pieces[0].indices for pieces in plan] == [(4,), (2,), (2,), (2,)]


def test_ranks_are_levelled_by_halving():
    lengths = np.array([90, 10, 10, 10, 10, 10])
    plan = plan_step(np.arange(6), lengths, 2, Cut(max_tokens=100, overhead_tokens=0))
    assert not any(piece.filler for pieces in plan for piece in pieces)
    assert [len(pieces) for pieces in plan] == [2, 2]


def partitions(items):
    """Every way to put the items into groups, in any order: not only runs of like length."""
    if not items:
        yield []
        return
    first, *rest = items
    for groups in partitions(rest):
        yield [[first], *groups]
        for at, group in enumerate(groups):
            yield [*groups[:at], [first, *group], *groups[at + 1 :]]


@few
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.integers(1, 100),
    st.none() | st.integers(1, 4),
    st.sampled_from([0, 7, 40]),
)
def test_the_cut_is_the_best_there_is(sizes, max_tokens, max_examples, overhead):
    lengths = np.array(sizes)

    def cost(groups):
        return sum(len(group) * lengths[list(group)].max() + overhead for group in groups)

    def fits(group):
        within = len(group) * lengths[list(group)].max() <= max_tokens and len(group) <= (max_examples or len(group))
        return len(group) == 1 or within

    best = min(cost(groups) for groups in partitions(list(range(len(sizes)))) if all(map(fits, groups)))
    (pieces,) = plan_step(np.arange(len(sizes)), lengths, 1, Cut(max_tokens, max_examples, overhead_tokens=overhead))
    assert cost([piece.indices for piece in pieces]) == best


def test_overhead_is_weighed_against_padding():
    lengths = np.array([40, 30])
    assert len(plan_step(np.arange(2), lengths, 1, Cut(1000, overhead_tokens=9))[0]) == 2
    assert len(plan_step(np.arange(2), lengths, 1, Cut(1000, overhead_tokens=11))[0]) == 1


def test_without_sorting_the_drawn_order_stays():
    plan = plan_step(np.array([3, 0, 2, 1]), np.array([5, 9, 5, 2]), 1, Cut(10, by_length=False))
    assert plan == [[MicroBatch((3, 0)), MicroBatch((2,)), MicroBatch((1,))]]


def test_padded_tokens():
    assert padded_tokens([MicroBatch((0, 2)), MicroBatch((1,), filler=True)], np.array([3, 5, 4])) == 8 + 5


@few
@given(
    st.integers(1, 300),
    st.integers(1, 40),
    st.sampled_from(["random", "length_grouped"]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 5),
)
def test_an_epoch_draws_every_example_once(count, batch, order, seed, epoch):
    lengths = np.random.default_rng(1).integers(1, 99, count)
    schedule = Schedule(lengths, batch, seed, order)
    drawn = schedule.epoch_order(epoch)
    assert sorted(drawn.tolist()) == list(range(count))
    assert np.array_equal(drawn, Schedule(lengths, batch, seed, order).epoch_order(epoch))

    first = epoch * schedule.steps_per_epoch
    steps = [schedule.examples(first + step, drawn) for step in range(schedule.steps_per_epoch)]
    assert np.array_equal(np.concatenate(steps), drawn)
    assert [len(step) for step in steps[:-1]] == [batch] * (schedule.steps_per_epoch - 1)
    assert 1 <= len(steps[-1]) <= batch


@pytest.mark.parametrize("order", ["random", "length_grouped"])
def test_seed_and_epoch_change_the_order(order):
    lengths = np.arange(1, 200)
    orders = {tuple(Schedule(lengths, 4, seed, order).epoch_order(epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_grouped_steps_hold_like_lengths():
    lengths = np.random.default_rng(0).integers(1, 1000, 10 * GROUPED_STEPS + 3)

    def spread(order):
        schedule = Schedule(lengths, 10, 7, order)
        drawn = schedule.epoch_order(0)
        return np.mean([np.ptp(lengths[schedule.examples(step, drawn)]) for step in range(schedule.steps_per_epoch - 1)])

    assert spread("length_grouped") < 50
    assert spread("random") > 500


def test_grouped_steps_come_in_no_order_of_length():
    lengths = np.arange(1, 4 * GROUPED_STEPS + 1)
    schedule = Schedule(lengths, 4, 0, "length_grouped")
    means = lengths[schedule.epoch_order(0)].reshape(-1, 4).mean(axis=1)
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5


@few
@given(lengths_of_steps, st.integers(1, 4), cuts, st.integers(1, 40))
def test_no_step_has_a_heavier_micro_batch_than_the_heaviest(lengths, world_size, cut, global_batch_size):
    schedule = Schedule(lengths, global_batch_size, seed=1)
    order = schedule.epoch_order(0)
    plans = [plan_step(schedule.examples(step, order), lengths, world_size, cut) for step in range(schedule.steps_per_epoch)]
    share = -(-global_batch_size // world_size)
    found = heaviest(lengths, share, cut)
    most = max(padded_tokens([piece], lengths) for piece in found)
    assert all(padded_tokens([piece], lengths) <= most for plan in plans for pieces in plan for piece in pieces)
    assert max(lengths) in lengths[list(found[0].indices)]
    for piece in found:
        assert len(piece.indices) <= min(share, cut.max_examples or share)
        assert len(piece.indices) == 1 or padded_tokens([piece], lengths) <= cut.max_tokens
