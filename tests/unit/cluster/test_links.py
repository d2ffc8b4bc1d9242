"""Links over real connections; what goes over them is tested with the group."""

import socket
import time

import pytest

from job.cluster import links as module
from job.cluster.channel import Channel
from job.cluster.links import Links


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def linked(monkeypatch):
    """Links to nodes 1 and 2, what they took and lost, their beats, and the other ends."""
    monkeypatch.setattr(module, "PULSE_S", 0.02)
    monkeypatch.setattr(module, "LINGER_S", 0.5)
    taken, lost, beats, channels, others = [], [], [], {}, {}
    with socket.create_server(("127.0.0.1", 0)) as server:
        for node in (1, 2):
            others[node] = Channel(socket.create_connection(server.getsockname()), 5)
            channels[node] = Channel(server.accept()[0], 5)
    links = Links(channels, lambda node, message: taken.append((node, message)), lost.append, lambda: beats.append(1))
    links.start()
    yield links, taken, lost, beats, others
    for other in others.values():
        other.close()
    links.close()


def test_messages_are_taken_and_pulses_are_not(linked):
    _, taken, _, beats, others = linked
    others[2].send({"kind": "pulse"})
    others[2].send({"kind": "value"})
    until(lambda: taken and beats)
    assert taken == [(2, {"kind": "value"})]


def test_all_but_one_are_told(linked):
    links, _, _, _, others = linked
    links.tell({"kind": "x"}, but=1)
    links.tell({"kind": "y"})

    def heard(node):
        return next(message["kind"] for message in iter(others[node].receive, None) if message["kind"] != "pulse")

    assert (heard(1), heard(2)) == ("y", "x")


def test_a_connection_that_ends_is_a_node_that_is_lost(linked):
    _, _, lost, _, others = linked
    others[1].close()
    until(lambda: lost)
    assert lost == [1]


def test_the_last_words_arrive(linked):
    links, _, _, _, others = linked
    links.tell({"kind": "last"})
    links.close()
    kinds = [message["kind"] for message in iter(others[1].receive, None)]
    assert kinds[-1] == "last"


def test_addresses(linked):
    assert linked[0].local_address == linked[0].remote_address == "127.0.0.1"
