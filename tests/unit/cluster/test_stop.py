import os
import signal
import threading
import time

import pytest

from job.cluster import stop as stops
from job.cluster.stop import Pace, StopRequest, deadline_of
from job.errors import DataError, SettingsError, StopRequested
from tests.support.environments import load


@pytest.fixture
def stop(tmp_path):
    return StopRequest(tmp_path / "run/stop")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT])
def test_a_signal_is_a_request_and_writes_the_stop_file(stop, number):
    before = signal.getsignal(number)
    with stop.listening():
        assert not stop.seen()
        os.kill(os.getpid(), number)
        assert stop.seen()
    assert stop.cause == signal.Signals(number).name
    assert stop.path.exists()
    assert signal.getsignal(number) is before


def test_the_stop_file_is_a_request(stop):
    stop.path.parent.mkdir()
    stop.path.touch()
    with pytest.raises(StopRequested, match="the stop file"):
        stop.check()


def test_the_stop_file_of_an_earlier_attempt_is_none(stop):
    stop.path.parent.mkdir()
    stop.path.touch()
    with stop.listening():
        stop.check()
    assert not stop.path.exists()


def test_the_deadline_comes_earlier_by_the_time_to_save(tmp_path):
    stop = StopRequest(tmp_path / "stop", deadline=time.monotonic() + 60)
    assert not stop.seen()
    stop.pace.upload_s = 30.5
    with pytest.raises(StopRequested, match="the end of the allocation"):
        stop.check()
    assert stop.path.exists()


def test_the_lead_is_what_a_step_a_save_and_an_upload_took():
    pace = Pace()
    assert pace.lead_s == 0
    for record in (
        {"attempt": 1, "step": 10, "time_s": 100.0, "train/loss": 1.0},
        {"attempt": 1, "step": 10, "time_s": 100.0, "time/checkpoint_save_s": 4.0},
        {"attempt": 1, "step": 20, "time_s": 120.0, "train/loss": None},
        {"attempt": 1, "step": 20, "time_s": 120.0, "time/checkpoint_save_s": 3.0},
        {"attempt": 1, "step": 20, "time_s": 120.0, "eval/accuracy": 0.5},
    ):
        pace.learn(record)
    pace.upload_s = 7.0
    assert pace.lead_s == 2.0 + 2 * (4.0 + 7.0)


def test_the_end_of_the_allocation_is_the_earlier_of_the_two_that_are_known():
    started, epoch = 50.0, 1_000_000.0
    assert deadline_of(load(), started, epoch) is None
    assert deadline_of(load(RUN__TIME_LIMIT_S="3600"), started, epoch) == 50 + 3600 - 30
    ends = {"LIMITS__DEADLINE": "1000250", "RUN__GRACE_S": "20"}
    assert deadline_of(load(**ends), started, epoch) == 250 - 20
    assert deadline_of(load(**ends, RUN__TIME_LIMIT_S="100"), started, epoch) == 50 + 100 - 20
    assert deadline_of(load(**ends, RUN__TIME_LIMIT_S="900"), started, epoch) == 250 - 20


@pytest.mark.parametrize("deadline", ["999999", "1000050", "1000080"])
def test_an_end_that_has_passed_is_a_wrong_setting(deadline):
    with pytest.raises(SettingsError, match="JOB_LIMITS__DEADLINE"):
        deadline_of(load(LIMITS__DEADLINE=deadline), 50.0, 1_000_000.0)


def test_the_first_cause_counts(stop):
    stop.request("SIGTERM")
    first = stop.requested_at
    stop.request("the stop file")
    assert (stop.cause, stop.requested_at) == ("SIGTERM", first)


def test_a_signal_ends_interruptible_work_at_once(stop):
    with stop.listening():
        with pytest.raises(StopRequested, match="SIGTERM"), stop.interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("went on")
        os.kill(os.getpid(), signal.SIGTERM)  # outside, it no longer raises


def test_interruptible_work_is_not_begun_after_a_request(stop):
    stop.request("SIGTERM")
    with pytest.raises(StopRequested), stop.interruptible():
        pytest.fail("was begun")


def test_other_threads_listen_to_the_file_alone(stop):
    before = signal.getsignal(signal.SIGTERM)
    handlers = []

    def work():
        with stop.listening():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_another_node_s_failure_ends_interruptible_work_at_once_and_is_no_stop(stop):
    with stop.listening(), pytest.raises(DataError, match="node 1"), stop.interruptible():
        threading.Timer(0.05, stop.fail, (DataError("node 1: row 7"),)).start()
        time.sleep(10)
    assert stop.requested_at is None
    assert not stop.path.exists()


def test_another_node_s_stop_ends_interruptible_work_at_once(stop):
    with stop.listening(), pytest.raises(StopRequested, match="SIGTERM on node 1"), stop.interruptible():
        threading.Timer(0.05, stop.request, ("SIGTERM on node 1",), {"wake": True}).start()
        time.sleep(10)
    assert stop.path.exists()


def test_the_first_failure_counts_and_comes_before_a_stop(stop):
    stop.raise_failure()
    stop.fail(DataError("first"))
    stop.fail(DataError("second"))
    stop.request("SIGTERM")
    for look in (stop.check, stop.raise_failure):
        with pytest.raises(DataError, match="first"):
            look()


def test_where_nobody_listens_nobody_is_woken(stop):
    stop.request("SIGTERM on node 1", wake=True)
    assert stop.cause == "SIGTERM on node 1"


def test_the_file_of_a_scheduler_is_a_request_too_and_stays(tmp_path):
    outer = tmp_path / "shared" / "stop-0"
    stop = StopRequest(tmp_path / "stop", outer=outer)
    outer.parent.mkdir()
    outer.touch()
    with stop.listening(), pytest.raises(StopRequested, match="the stop file"):
        stop.check()
    assert stop.path.exists(), "the workers watch this one"
    assert outer.exists()


@pytest.mark.parametrize("cause", ["the stop file", "the end of the allocation"])
def test_interruptible_work_is_dropped_for_causes_that_are_no_signal(tmp_path, cause, monkeypatch):
    monkeypatch.setattr(stops, "WATCH_EVERY_S", 0.01)
    stop = StopRequest(tmp_path / "stop", outer=tmp_path / "outer")
    with stop.listening(), pytest.raises(StopRequested, match=cause), stop.interruptible():
        if cause == "the stop file":
            (tmp_path / "outer").touch()
        else:
            stop.deadline = time.monotonic()
        time.sleep(60)


def test_who_swallows_the_request_is_asked_again(stop, monkeypatch):
    monkeypatch.setattr(stops, "WATCH_EVERY_S", 0.01)
    swallowed = 0
    with stop.listening(), pytest.raises(StopRequested, match="SIGTERM"), stop.interruptible():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:  # as a handler of logging does
            swallowed += 1
        time.sleep(60)
    assert swallowed == 1


def test_cleaning_up_is_dropped_too(stop, monkeypatch):
    """As a request to a store that does not answer, tried again and again."""
    monkeypatch.setattr(stops, "WATCH_EVERY_S", 0.01)
    began = time.monotonic()
    with stop.listening(), pytest.raises(StopRequested, match="SIGTERM"), stop.interruptible():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            time.sleep(60)
    assert time.monotonic() - began < 30


def test_nothing_is_raised_once_it_is_left(stop, monkeypatch):
    monkeypatch.setattr(stops, "WATCH_EVERY_S", 0.01)
    with stop.listening():
        with pytest.raises(StopRequested), stop.interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)


def test_work_that_was_done_is_not_dropped_by_a_later_request(tmp_path, monkeypatch):
    monkeypatch.setattr(stops, "WATCH_EVERY_S", 0.01)
    stop = StopRequest(tmp_path / "stop", outer=tmp_path / "outer")
    with stop.listening():
        with stop.interruptible():
            """Nothing to do."""
        (tmp_path / "outer").touch()
        time.sleep(0.05)
    assert stop.requested_at is None
