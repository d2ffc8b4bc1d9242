import threading

from job.cluster.board import Board


def test_all_values_in_rank_order_and_not_before():
    board = Board(2)
    key = board.begin("x")
    board.put(key, 1, "b")
    assert board.wait(key, 0) is None
    board.put(key, 0, "a")
    assert board.wait(key, 0) == ["a", "b"]


def test_rounds_do_not_mix():
    board = Board(2)
    board.put(board.key("x"), 1, "early")
    first = board.begin("x")
    assert board.given(first) == {1: "early"}
    assert board.given(board.key("x")) == {}
    assert board.begin("x") != first
    assert board.begin("y") != first


def test_a_waiter_is_woken():
    board = Board(1)
    key = board.begin("x")
    threading.Timer(0.05, board.put, (key, 0, None)).start()
    assert board.wait(key, 10) == [None]
    threading.Timer(0.05, board.notify).start()
    assert board.wait("another", 10) is None
