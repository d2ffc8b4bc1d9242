"""Node processes that look for each other, as threads, over real connections."""

import dataclasses
import socket
import threading
import time

import pytest

from job.cluster import launch, links, meeting
from job.cluster.channel import Channel
from job.cluster.hello import Hello
from job.cluster.meeting import Patience, meet
from job.cluster.nodes import NodePlace
from job.cluster.stop import StopRequest
from job.errors import CrashError, SettingsError, StopRequested, UnavailableError

PATIENT, IMPATIENT = Patience(20, 5), Patience(0.4, 5)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    for module, name in ((meeting, "POLL_S"), (meeting, "KNOCK_S"), (links, "PULSE_S"), (links, "LINGER_S")):
        monkeypatch.setattr(module, name, 0.05)


@pytest.fixture
def places():
    """``places(3)``: those of three nodes on this machine."""
    port = launch.free_port()
    return lambda count: [NodePlace(count, node, "127.0.0.1", port) for node in range(count)]


@pytest.fixture
def come(tmp_path):
    """``come(place, ...)``: a node that looks for the others in a thread; ``.join()`` gives its group or raises."""
    met = []

    class Coming(threading.Thread):
        def __init__(self, place, patience=PATIENT, run="my-run"):
            super().__init__(daemon=True)
            self.stop = StopRequest(tmp_path / f"stop-{id(self)}")
            self.given = run, place, patience, self.stop
            self.outcome = None
            self.start()

        def run(self):
            try:
                self.outcome = meet(*self.given)
                met.append(self.outcome)
            except Exception as error:
                self.outcome = error

        def join(self):
            super().join(15)
            if isinstance(self.outcome, Exception):
                raise self.outcome
            return self.outcome

    yield Coming
    for found in reversed(met):
        found.end(0)


def test_one_node_meets_nobody(tmp_path):
    alone = meet("my-run", NodePlace(), IMPATIENT, StopRequest(tmp_path / "stop"))
    assert (alone.num_nodes, alone.is_main) == (1, True)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_in_any_order(places, come, order):
    coming = {}
    for node in order:
        coming[node] = come(places(3)[node])
        time.sleep(0.1)
    groups = [coming[node].join() for node in range(3)]
    assert [(found.node_rank, found.num_nodes, found.main_address) for found in groups] == [
        (node, 3, "127.0.0.1") for node in range(3)
    ]
    answers = [threading.Thread(target=found.exchange, args=("x", found.node_rank)) for found in groups[1:]]
    for thread in answers:
        thread.start()
    assert groups[0].exchange("x", 0) == [0, 1, 2]


def test_who_did_not_come_is_named(places, come):
    main, first = come(places(3)[0], IMPATIENT), come(places(3)[1])
    with pytest.raises(UnavailableError, match=r"Nodes \[2\] of 3 did not come to port") as caught:
        main.join()
    assert "JOB_PARALLEL__RENDEZVOUS_TIMEOUT_S" in caught.value.hint
    with pytest.raises(UnavailableError, match=r"Nodes \[2\] of 3 did not come"):
        first.join()


@pytest.mark.parametrize(
    ("address", "why"),
    [("127.0.0.1", r"it does not answer \(Connection refused\)"), ("no-such-host.invalid", "its name does not resolve")],
)
def test_a_main_node_that_is_not_there(places, come, address, why):
    place = dataclasses.replace(places(2)[1], main_address=address, sources={"main_address": "PET_MASTER_ADDR"})
    with pytest.raises(UnavailableError, match=rf"of {address} \(PET_MASTER_ADDR\) within 0 s: {why}"):
        come(place, IMPATIENT).join()


def test_different_counts_are_told_to_both(places, come):
    main, other = come(places(2)[0]), come(dataclasses.replace(places(2)[1], num_nodes=3))
    for node in (main, other):
        with pytest.raises(SettingsError, match=r"was told of 2 nodes, node 1 .* of 3"):
            node.join()


@pytest.mark.parametrize(("change", "run"), [({}, "other-run"), ({"launch": "slurm-7-1"}, "my-run")])
def test_a_stranger_is_sent_away_and_does_no_harm(places, come, change, run):
    main = come(places(2)[0])
    _open(places)
    stranger = come(dataclasses.replace(places(2)[1], **change), IMPATIENT, run)
    with pytest.raises(UnavailableError, match="what answers there belongs to another"):
        stranger.join()
    ours = come(places(2)[1])
    assert main.join().num_nodes == ours.join().num_nodes == 2


def test_noise_at_the_port_does_no_harm(places, come):
    main = come(places(2)[0])
    time.sleep(0.1)
    for noise in (b"GET / HTTP/1.0\r\n\r\n", b'{"kind": "hello", "protocol": 99}\n', b""):
        with socket.create_connection(("127.0.0.1", places(2)[0].main_port)) as connection:
            connection.sendall(noise)
    other = come(places(2)[1])
    assert main.join().num_nodes == other.join().num_nodes == 2


def test_a_node_that_was_restarted_before_all_are_there_takes_its_seat_again(places, come):
    main = come(places(3)[0])
    gone = socket.create_connection(("127.0.0.1", _open(places)))
    Channel(gone, 5).send(Hello.of("my-run", places(3)[1]).message())
    time.sleep(0.2)
    gone.close()
    nodes = [come(place) for place in places(3)[1:]]
    assert [main.join().num_nodes, *(node.join().num_nodes for node in nodes)] == [3, 3, 3]


def test_nobody_begins_with_a_seat_whose_node_has_died(places, come):
    main = come(places(3)[0])
    gone = socket.create_connection(("127.0.0.1", _open(places)))
    channel = Channel(gone, 5)
    channel.send(Hello.of("my-run", places(3)[1]).message())
    assert channel.receive()["kind"] == "seated"
    channel.close()
    second = come(places(3)[2])
    time.sleep(0.5)
    first = come(places(3)[1])
    assert [node.join().num_nodes for node in (main, first, second)] == [3, 3, 3]


def _open(places):
    """The main node's port, once it listens."""
    port = places(2)[0].main_port
    end = time.monotonic() + 5
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.02)
        else:
            return port


def test_two_nodes_with_one_rank(places, come):
    main = come(places(3)[0], Patience(3, 5))
    _open(places)
    first = come(places(3)[1])
    time.sleep(0.3)
    second = come(places(3)[1])
    with pytest.raises(SettingsError, match="has the same rank as this one"):
        first.join()
    third = come(places(3)[2])
    assert main.join().num_nodes == second.join().num_nodes == third.join().num_nodes == 3


def test_a_node_that_comes_again_while_the_group_runs_ends_it_and_waits_for_the_next(places, come):
    main, other = come(places(2)[0]), come(places(2)[1])
    groups = main.join(), other.join()
    again = come(places(2)[1], Patience(2, 5))
    end = time.monotonic() + 5
    while main.stop.failure is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert isinstance(main.stop.failure, CrashError)
    assert "Node 1" in main.stop.failure.message
    assert "was started again on" in main.stop.failure.message
    with pytest.raises(UnavailableError, match="still busy with an earlier start"):
        again.join()
    assert groups[0].verdict(CrashError("x")) is main.stop.failure


def test_a_stop_request_ends_the_wait(places, come):
    main, other = come(places(2)[0]), come(dataclasses.replace(places(2)[1], main_port=launch.free_port()))
    for node in (main, other):
        node.stop.request("SIGTERM")
        with pytest.raises(StopRequested):
            node.join()


def test_a_port_that_is_taken(places, come):
    with socket.create_server(("", places(2)[0].main_port)), pytest.raises(UnavailableError, match="cannot be listened at"):
        come(places(2)[0]).join()
