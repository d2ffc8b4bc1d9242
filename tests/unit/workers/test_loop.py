import functools
import math
import types

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from job.errors import HopelessError, StopRequested
from job.workers.batching import Cut, Schedule
from job.workers.engine.base import Update
from job.workers.feed import Feed, Place
from job.workers.loop import Loop, Parts, StepResult
from job.workers.state import TrainState
from tests.support import tiny
from tests.support.training import OneRank, RowsTask, Scarce, TwoLayers, rows


@functools.cache
def make_settings(folder, given):
    return tiny.settings(folder, **{"TRAIN__MAX_GRAD_NORM": "0", "TRAIN__LOG_EVERY_STEPS": "2", **dict(given)})


def make_loop(folder, data, engine=None, cut=None, *, model=None, task=None, **settings):
    """A loop with plain gradient descent at rate 1: what a step takes from the weights is the gradient."""
    engine, model, task = engine or OneRank(), model or TwoLayers(), task or RowsTask()
    chosen = engine.settings = make_settings(folder, tuple(settings.items()))
    schedule = Schedule(np.array(data["length"]), chosen.train.global_batch_size, seed=1)
    feed = Feed(data, task, schedule, cut or Cut(1000), Place(engine.rank, engine.world_size))
    optimizer = torch.optim.SGD(model.parameters(), lr=9.0)
    return Loop(engine, chosen, Parts(model, optimizer, lambda _: 1.0, task, feed), TrainState())


def weights(model):
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])


def update(loop, number=0):
    before = weights(loop.parts.wrapped)
    result = loop.take_step(loop.parts.feed[number])
    return before - weights(loop.parts.wrapped), result


@functools.cache
def one_big_batch(count):
    """Gradient and loss of all rows at once, straight from the definition."""
    model, data, task = TwoLayers(), rows(count), RowsTask()
    batch = task.collate(list(data))
    loss = task.loss_sum(model, batch)
    torch.autograd.backward(loss / batch.weights.sum())
    gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    return gradient, float(loss.detach()), float(batch.weights.sum())


@profile(max_examples=20, deadline=None)
@given(
    count=st.sampled_from([1, 3, 16]),
    world_size=st.integers(1, 4),
    cut=st.builds(Cut, st.integers(1, 120), st.none() | st.integers(1, 5), st.booleans()),
)
def test_the_cut_does_not_change_the_update(tmp_path_factory, count, world_size, cut):
    gradient, loss, weight = one_big_batch(count)
    found, losses = torch.zeros_like(gradient), 0.0
    for rank in range(world_size):
        # The first sum is the step's weight over all ranks; what the others add to the loss is added below.
        loop = make_loop(tmp_path_factory.getbasetemp(), rows(count), OneRank(rank, world_size, sums=[weight]), cut)
        rank_update, result = update(loop)
        found += rank_update / world_size  # replicas average
        losses += result.loss_sum
    assert torch.allclose(found, gradient, rtol=1e-9, atol=1e-12)
    assert losses == pytest.approx(loss, rel=1e-9)


def test_gradients_are_exchanged_with_the_last_micro_batch_alone(tmp_path):
    loop = make_loop(tmp_path, rows(16), cut=Cut(1))
    loop.take_step(loop.parts.feed[0])
    assert loop.engine.lasts == [False] * 15 + [True]


def test_result_and_rate_of_a_step(tmp_path):
    gradient, loss, weight = one_big_batch(16)
    loop = make_loop(tmp_path, rows(16))
    loop.parts.learning_rate = lambda step: 0.5 + step
    taken, result = update(loop)
    assert torch.allclose(taken, gradient / 2, rtol=1e-9)
    assert result.grad_norm == pytest.approx(float(gradient.norm()), rel=1e-9)
    assert (result.loss_sum, result.weight) == (pytest.approx(loss), pytest.approx(weight))
    assert all(parameter.grad is None for parameter in loop.parts.wrapped.parameters())


def test_clipping(tmp_path):
    gradient, _, _ = one_big_batch(16)
    taken, result = update(make_loop(tmp_path, rows(16), TRAIN__MAX_GRAD_NORM="0.01"))
    assert float(taken.norm()) == pytest.approx(0.01, rel=1e-3)
    assert result.grad_norm == pytest.approx(float(gradient.norm()), rel=1e-9)


def test_each_step_is_seeded_by_its_number(tmp_path):
    loop = make_loop(tmp_path, rows(40), RUN__SEED="7")
    for number in (0, 2):
        loop.take_step(loop.parts.feed[number])
    assert loop.engine.seeds == [(7, 0), (7, 2)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_finite(value):
    assert StepResult(1.0, 1.0, 1.0).finite
    assert not StepResult(value, 1.0, 1.0).finite
    assert not StepResult(1.0, 1.0, value).finite


class Boundary:
    """Writes down which states it saw; may stop or end the run."""

    def __init__(self, stop_at=None, done_at=None):
        self.crossed, self.finished, self.stop_at, self.done_at = [], [], stop_at, done_at

    def cross(self, state):
        self.crossed.append(state.step)
        if state.step == self.stop_at:
            raise StopRequested("stop")
        state.done = state.step == self.done_at

    def finish(self, state):
        self.finished.append(state.step)


def poisoned(count, at):
    data = rows(count)
    data[at]["x"] = data[at]["x"] * math.nan
    return data


def test_a_step_that_is_not_finite_makes_no_update_and_ends_the_run(tmp_path):
    loop = make_loop(tmp_path, poisoned(16, 5))
    before = weights(loop.parts.wrapped)
    with pytest.raises(HopelessError, match="step 1 ") as caught:
        loop.run(1, Boundary(), lambda _: None)
    assert torch.equal(weights(loop.parts.wrapped), before)
    ids = [f"row-{index}" for index in loop.parts.feed[0].examples[:8]]
    assert ", ".join(ids) in caught.value.message
    assert caught.value.exit_code == 93
    assert "JOB_TRAIN__LEARNING_RATE" in caught.value.hint


def test_allowed_steps_that_are_not_finite_are_skipped(tmp_path, caplog):
    data = poisoned(48, 5)
    loop, records = make_loop(tmp_path, data, TRAIN__MAX_NONFINITE_STEPS="1"), []
    loop.run(3, Boundary(), records.append)
    bad = next(number for number in range(3) if 5 in loop.parts.feed[number].examples)
    clean = make_loop(tmp_path, data)
    for number in {0, 1, 2} - {bad}:
        clean.take_step(clean.parts.feed[number])
    assert torch.equal(weights(loop.parts.wrapped), weights(clean.parts.wrapped))
    assert (loop.state.step, loop.state.nonfinite_steps) == (3, 1)
    # Two steps, then one alone: where that is the bad one, there is no loss to tell.
    assert [record["train/loss"] is None for record in records] == [False, bad == 2]
    assert [record["train/grad_norm"] is None for record in records] == [False, bad == 2]
    assert math.isfinite(records[0]["train/loss"])
    assert f"step {bad + 1}: loss sum nan" in caplog.text

    with pytest.raises(HopelessError):
        loop.run(6, Boundary(), records.append)


def test_run_crosses_before_each_step_and_finishes(tmp_path):
    loop, boundary, records = make_loop(tmp_path, rows(40)), Boundary(), []
    loop.run(5, boundary, records.append)
    assert (boundary.crossed, boundary.finished) == ([0, 1, 2, 3, 4], [5])
    assert len(records) == 3  # two steps each, and what is left
    assert loop.state.window.examples == 0


def test_a_run_continues_with_the_same_steps(tmp_path):
    whole, halves = make_loop(tmp_path, rows(40)), make_loop(tmp_path, rows(40))
    whole.run(5, Boundary(), lambda _: None)
    with pytest.raises(StopRequested):
        halves.run(5, Boundary(stop_at=3), lambda _: None)
    halves.run(5, Boundary(), lambda _: None)
    assert torch.equal(weights(whole.parts.wrapped), weights(halves.parts.wrapped))
    assert whole.engine.seeds == halves.engine.seeds


def test_a_run_that_is_done_takes_no_further_step(tmp_path):
    loop, boundary, records = make_loop(tmp_path, rows(40)), Boundary(done_at=3), []
    loop.run(5, boundary, records.append)
    assert (loop.state.step, boundary.finished, len(records)) == (3, [3], 2)


def test_metric_records(tmp_path, monkeypatch):
    data = rows(40)
    loop, records = make_loop(tmp_path, data), []
    loop.parts.learning_rate = lambda step: 0.001 * (step + 1)
    results = []
    monkeypatch.setattr(loop, "take_step", lambda step: results.append(Loop.take_step(loop, step)) or results[-1])
    monkeypatch.setattr("job.workers.loop.time", types.SimpleNamespace(perf_counter=iter(range(100)).__next__))
    loop.run(2, Boundary(), records.append)
    (record,) = records
    steps = [loop.parts.feed[number] for number in range(2)]
    tokens, padded = sum(step.tokens for step in steps), sum(step.padded_tokens for step in steps)
    assert record == {
        "train/loss": pytest.approx(sum(r.loss_sum for r in results) / sum(r.weight for r in results)),
        "train/grad_norm": results[-1].grad_norm,
        "train/learning_rate": 0.002,
        "perf/tokens_per_second": tokens / 2,
        "perf/examples_per_second": 32 / 2,
        "perf/padding_share": 1 - tokens / padded,
    }
    assert loop.state.seconds == 2


def test_the_engine_is_checked_after_the_first_step_and_the_replicas_now_and_then(tmp_path):
    loop = make_loop(tmp_path, rows(40), PARALLEL__REPLICA_CHECK_STEPS="2")
    loop.run(5, Boundary(), lambda _: None)
    assert loop.engine.checked == ["first step", "weights", "weights", "weights"]

    loop = make_loop(tmp_path, rows(40), PARALLEL__REPLICA_CHECK_STEPS="0")
    loop.run(5, Boundary(), lambda _: None)
    assert loop.engine.checked == ["first step", "weights"]


def test_a_step_that_only_lowered_the_loss_scale_is_not_counted(tmp_path, monkeypatch):
    loop = make_loop(tmp_path, rows(40))
    monkeypatch.setattr(loop.engine, "update", lambda *_, **__: Update(math.inf, rescaled=True), raising=False)
    loop.run(2, Boundary(), lambda _: None)
    assert loop.state.nonfinite_steps == 0


@pytest.mark.parametrize(("tokens", "fail_at"), [(90, (1,)), (90, (3,)), (1000, (1, 2))])
def test_out_of_memory_the_step_is_cut_smaller_and_the_update_stays(tmp_path, tokens, fail_at):
    gradient, loss, weight = one_big_batch(16)
    loop = make_loop(tmp_path, rows(16), cut=Cut(tokens), task=Scarce(16, fail_at))
    budget, before = loop.parts.feed.cut.max_tokens, len(loop.parts.feed[0].batches)
    taken, result = update(loop)
    assert torch.allclose(taken, gradient, rtol=1e-9, atol=1e-12)
    assert (result.loss_sum, result.weight) == (pytest.approx(loss), pytest.approx(weight))
    assert loop.parts.feed.cut.max_tokens <= budget // 2 ** len(fail_at)
    assert len(loop.parts.feed[0].batches) > before
    assert loop.engine.seeds == [(loop.settings.run.seed, 0)] * (1 + len(fail_at))  # drawn as from the beginning


def test_out_of_memory_ends_the_run_at_one_example(tmp_path):
    loop = make_loop(tmp_path, rows(16), task=Scarce(0))
    before = weights(loop.parts.wrapped)
    with pytest.raises(HopelessError, match="single example"):
        loop.take_step(loop.parts.feed[0])
    assert torch.equal(weights(loop.parts.wrapped), before)


def test_a_run_that_was_short_of_memory_trains_the_same_steps(tmp_path):
    whole = make_loop(tmp_path, rows(40))
    short = [make_loop(tmp_path, rows(40), task=Scarce(3), TRAIN__DATA_WORKERS=count) for count in ("0", "1")]
    for loop in (whole, *short):
        loop.run(5, Boundary(), lambda _: None)
        assert torch.allclose(weights(whole.parts.wrapped), weights(loop.parts.wrapped), rtol=1e-9)
    assert max(short[0].parts.task.tried) > 3
    # What data workers had made ahead in larger pieces is not tried.
    assert short[0].parts.task.tried == short[1].parts.task.tried
