import socket
import threading

import pytest

from job.cluster import channel
from job.cluster.channel import Channel


@pytest.fixture
def ends():
    """Both ends of a connection; the second also as a bare socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        bare = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    first, second = Channel(accepted, 5), Channel(bare, 5)
    yield first, second, bare
    for end in (first, second):
        end.close()


def test_messages_arrive_whole_and_in_order(ends):
    first, second, _ = ends
    long = {"kind": "value", "value": "ä" * 300_000}
    threading.Thread(target=lambda: [first.send(long), first.send({"kind": "pulse"})]).start()
    assert second.receive() == long
    assert second.receive() == {"kind": "pulse"}
    assert second.send({"kind": "back"})
    assert first.receive() == {"kind": "back"}


def test_the_addresses_of_both_ends(ends):
    first, second, _ = ends
    assert first.local_address == first.remote_address == second.local_address == "127.0.0.1"
    assert channel._plain("::ffff:10.0.0.1") == "10.0.0.1"
    assert channel._plain("fd00::2") == "fd00::2"


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"[1, 2]\n", b'{"no": "kind"}\n', b'{"kind": 3}\n', b"\xff\xfe\n", b'{"kind"']
)
def test_what_is_no_message_ends_it(ends, data):
    first, _, bare = ends
    bare.sendall(data)
    bare.shutdown(socket.SHUT_WR)
    assert first.receive() is None


def test_a_message_without_end_is_not_read_for_ever(ends, monkeypatch):
    monkeypatch.setattr(channel, "MAX_BYTES", 1000)
    first, _, bare = ends
    bare.sendall(b"x" * 2000)
    assert first.receive() is None


def test_silence_ends_it(ends):
    first, _, _ = ends
    first.set_timeout(0.05)
    assert first.receive() is None


def test_what_was_sent_before_the_end_arrives(ends):
    first, second, _ = ends
    first.send({"kind": "last"})
    first.finish()
    assert second.receive() == {"kind": "last"}
    assert second.receive() is None


def test_sending_to_nobody_says_so(ends):
    first, second, _ = ends
    second.close()
    assert first.receive() is None
    first.close()
    assert not first.send({"kind": "pulse"})


def test_an_end_that_was_closed_is_seen_without_a_word(ends):
    first, second, bare = ends
    assert not first.has_ended()
    second.send({"kind": "late"})
    assert not first.has_ended(), "something is still to be read"
    assert first.receive() == {"kind": "late"}
    bare.shutdown(socket.SHUT_RDWR)
    assert first.has_ended()
    first.close()
    assert first.has_ended()
