import os
import signal
import threading
import time

import pytest

from job.cluster.stop import StopRequest
from job.errors import DataError, StopRequested


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
    stop.lead_s = 61.0
    with pytest.raises(StopRequested, match="the end of the allocation"):
        stop.check()
    assert stop.path.exists()


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
