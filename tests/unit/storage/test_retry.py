import random

import pytest

from job.errors import DataError, UnavailableError
from job.storage.retry import Failure, Retries


class Clock:
    """Time that passes by sleeping."""

    def __init__(self):
        self.now, self.pauses = 0.0, []

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.pauses.append(seconds)


@pytest.fixture
def clock():
    return Clock()


def retries(clock, timeout_s=100.0):
    return Retries(timeout_s, clock=clock.time, sleep=clock.sleep, jitter=random.Random(1))


def failing(times, error=None):
    left = [times]

    def action():
        if left[0]:
            left[0] -= 1
            raise error or OSError("x")
        return "done"

    return action


def transient(_, retry_after_s=0.0):
    return Failure(UnavailableError("not now"), transient=True, retry_after_s=retry_after_s)


def test_transient_failures_are_tried_again_with_growing_pauses(clock):
    assert retries(clock).call(failing(6), transient) == "done"
    assert len(clock.pauses) == 6
    assert all(pause <= 0.2 * 2**index for index, pause in enumerate(clock.pauses))
    assert sum(clock.pauses[3:]) > sum(clock.pauses[:3])


def test_what_is_not_transient_is_raised_at_once(clock):
    cause = OSError("x")
    with pytest.raises(DataError) as caught:
        retries(clock).call(failing(9, cause), lambda _: Failure(DataError("no")))
    assert caught.value.__cause__ is cause
    assert clock.pauses == []


def test_total_time_is_bounded(clock):
    with pytest.raises(UnavailableError):
        retries(clock, 30).call(failing(10**6), transient)
    assert clock.now == 30.0


@pytest.mark.parametrize("seed", range(50))
def test_what_comes_back_just_in_time_is_met(clock, seed):
    """However long the pause is that was drawn: the last try comes at the end of the time."""

    def action():
        if clock.now < 4.0:
            raise OSError("away")
        return "back"

    tries = Retries(4.0, clock=clock.time, sleep=clock.sleep, jitter=random.Random(seed))
    assert tries.call(action, transient) == "back"


def test_the_server_says_how_long_to_wait(clock):
    assert retries(clock).call(failing(2), lambda error: transient(error, 7.0)) == "done"
    assert clock.pauses == [7.0, 7.0]
    with pytest.raises(UnavailableError):
        retries(clock, 5).call(failing(1), lambda error: transient(error, 7.0))


def test_the_global_random_generator_is_left_alone(clock):
    random.seed(5)
    before = random.getstate()
    Retries(100, clock=clock.time, sleep=clock.sleep).call(failing(3), transient)
    assert random.getstate() == before
