"""Groups of two and three nodes in one process, over real connections."""

import functools
import socket
import threading
import time

import pytest

from job.cluster import links as module
from job.cluster.channel import Channel
from job.cluster.group import LinkedGroup, NodeGroup
from job.cluster.stop import StopRequest
from job.errors import CrashError, DataError, FencedError, StopRequested


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def soon(seconds=5.0):
    """Work while waiting that ends the wait when it takes too long."""
    end = time.monotonic() + seconds

    def look():
        assert time.monotonic() < end, "waited in vain"

    return look


def connected(silence_s=5.0):
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = socket.create_connection(server.getsockname())
        return Channel(server.accept()[0], silence_s), Channel(other, silence_s)


@pytest.fixture
def make(tmp_path, monkeypatch):
    """``make(3)``: the nodes of a group, each with a stop request of its own; all ended at the end."""
    monkeypatch.setattr(module, "PULSE_S", 0.02)
    monkeypatch.setattr(module, "LINGER_S", 0.2)
    made = []

    def make(count, silence_s=5.0):
        pairs = {node: connected(silence_s) for node in range(1, count)}
        hosts = [f"h{node}" for node in range(count)]
        stops = [StopRequest(tmp_path / f"stop-{node}") for node in range(count)]
        main = LinkedGroup(0, hosts, {node: ends[0] for node, ends in pairs.items()}, stops[0])
        found = [main, *(LinkedGroup(node, hosts, {0: ends[1]}, stops[node]) for node, ends in pairs.items())]
        made.extend(found)
        return found, stops

    yield make
    for group in reversed(made):
        group.end(0)


def together(*actions):
    """Run actions at once, each in a thread; what they return, or raise."""
    results = [None] * len(actions)

    def run(number):
        try:
            results[number] = actions[number]()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return results


def test_a_single_node_agrees_with_itself():
    alone = NodeGroup()
    assert alone.is_main
    assert alone.exchange("x", 1) == [1]
    assert alone.given("x") == {}
    error = DataError("x")
    assert alone.verdict(error) is error
    alone.wait_for_main()
    alone.end(0)


def test_all_get_all_values_in_rank_order_round_by_round(make):
    groups, _ = make(3)
    for number in (1, 2):
        values = together(*(functools.partial(group.exchange, "x", [group.node_rank, number]) for group in groups))
        assert values == [[[0, number], [1, number], [2, number]]] * 3


def test_a_late_node_sees_what_others_gave_and_is_waited_for(make):
    (main, first, second), _ = make(3)
    worked = []

    def late():
        until(lambda: set(second.given("x")) == {0, 1})
        until(lambda: len(worked) > 1)
        return second.exchange("x", "c")

    assert (
        together(lambda: main.exchange("x", "a"), lambda: first.exchange("x", "b", lambda: worked.append(1)), late)
        == [["a", "b", "c"]] * 3
    )
    assert second.given("x") == {}


def test_work_may_end_the_wait(make):
    (main, _), (stop, _) = make(2)
    stop.request("SIGTERM")
    with pytest.raises(StopRequested):
        main.exchange("x", 1, stop.check)


def test_a_stop_of_one_node_is_everybodys_and_says_whose(make):
    _, stops = make(3)
    stops[2].request("SIGTERM")
    until(lambda: all(stop.requested_at and stop.path.exists() for stop in stops))  # the file comes last
    assert [stop.cause for stop in stops] == ["SIGTERM on node 2 (h2)"] * 2 + ["SIGTERM"]


@pytest.mark.parametrize("failed", [0, 1, 2])
def test_a_failure_of_one_node_ends_the_others_with_its_code(make, failed):
    groups, stops = make(3)
    groups[failed].end(65, "Row 7 is broken.", "Repair it.")
    others = [node for node in range(3) if node != failed]
    if failed:
        # As the main node does when it ends because of it.
        until(lambda: stops[0].failure)
        groups[0].end(65, stops[0].failure.message, stops[0].failure.hint)
    for node in others:
        until(lambda node=node: stops[node].failure)
        with pytest.raises(DataError, match=rf"^Node {failed} \(h{failed}\): Row 7 is broken. Repair it.$"):
            groups[node].exchange("x", 1, soon())


def test_the_earlier_failure_is_the_runs_but_a_lost_run_is_lost(make):
    (main, other), (stop, _) = make(2)
    own = CrashError("a consequence")
    assert main.verdict(own) is own
    other.end(65, "the cause")
    until(lambda: stop.failure)
    assert main.verdict(own).message == "Node 1 (h1): the cause"
    fenced = FencedError("another owns the run")
    assert main.verdict(fenced) is fenced


def test_a_node_that_vanishes_is_lost_at_once(make):
    (main, other), (stop, _) = make(2)
    other._links.close()
    with pytest.raises(CrashError, match=r"Node 1 \(h1\) is gone"):
        main.exchange("x", 1, soon())
    assert stop.failure


def test_a_node_that_says_nothing_is_lost_after_a_while(make, monkeypatch):
    monkeypatch.setattr(module.Links, "_pulse", lambda _: None)
    (main, _), _ = make(2, silence_s=0.1)
    with pytest.raises(CrashError, match="Node 1"):
        main.exchange("x", 1, soon())


def test_nodes_that_live_are_not_lost_however_long_it_takes(make):
    (main, _), (stop, _) = make(2, silence_s=0.3)
    end = time.monotonic() + 0.9
    with pytest.raises(StopIteration):
        main.exchange("x", 1, lambda: time.monotonic() > end and next(iter(())))
    assert stop.failure is None


def test_the_others_wait_for_the_main_node_to_be_done(make):
    (main, other), (_, stop) = make(2)
    waited = []
    together(lambda: other.wait_for_main(lambda: waited.append(1)), lambda: (until(lambda: waited), main.end(0)))
    assert stop.failure is None
    assert waited


def test_a_main_node_that_fails_is_not_done(make):
    (main, other), _ = make(2)
    main.end(93, "No use.")
    with pytest.raises(Exception, match=r"Node 0 \(h0\): No use"):
        other.wait_for_main(soon())


def test_ending_twice_says_it_once(make):
    (main, other), (_, stop) = make(2)
    main.end(0)
    main.end(70, "late")
    other.wait_for_main()
    assert stop.failure is None
