import json

import pytest

from job.workers.state import BestMetric, TrainState, Window


def observe(state, value, step, *, greater=True, delta=0.0):
    state.step = step
    return state.observe(value, greater_is_better=greater, min_delta=delta)


def test_round_trip():
    state = TrainState(step=7, best_value=0.5, best_step=3, window=Window(loss=1.5, tokens=9))
    assert TrainState.from_dict(json.loads(json.dumps(state.as_dict()))) == state


def test_the_best_of_a_rising_metric():
    state = TrainState()
    assert [observe(state, value, step) for step, value in enumerate([0.5, 0.4, 0.5, 0.6])] == [True, False, False, True]
    assert (state.best_value, state.best_step, state.evaluations_without_gain, state.last_value) == (0.6, 3, 0, 0.6)


def test_the_best_of_a_falling_metric():
    state = TrainState()
    assert [observe(state, value, step, greater=False) for step, value in enumerate([2.0, 1.0, 1.5])] == [True, True, False]
    assert (state.best_step, state.evaluations_without_gain, state.last_value) == (1, 1, 1.5)


def test_a_gain_within_the_delta_is_none():
    state = TrainState()
    assert [observe(state, value, 1, delta=0.125) for value in [0.5, 0.625, 0.75]] == [True, False, True]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), None])
@pytest.mark.parametrize("greater", [True, False])
def test_an_undefined_value_is_never_the_best(value, greater):
    state = TrainState()
    assert not observe(state, value, 1, greater=greater)
    assert (state.best_step, state.best_value) == (-1, None)
    assert observe(state, 0.5, 2, greater=greater)
    assert not observe(state, value, 3, greater=greater)
    assert (state.best_step, state.best_value, state.last_value, state.evaluations_without_gain) == (2, 0.5, None, 1)
    json.dumps(state.as_dict(), allow_nan=False)


def test_best_metric_rises_unless_said_otherwise():
    assert BestMetric("f1").greater_is_better
