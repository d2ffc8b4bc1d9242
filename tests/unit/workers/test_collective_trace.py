"""Two ranks in forked processes of their own, one of which stays away from a collective."""

import logging
import os
import signal
import sys
import time

import pytest
import torch
import torch.distributed as dist

from job.workers import collective_trace


@pytest.fixture
def start(tmp_path):
    """Run a body in a process that answers the signal; its process id."""
    started = []

    def start(body):
        pid = os.fork()
        if pid == 0:
            try:
                sys.stderr = (tmp_path / f"log-{len(started)}").open("w", buffering=1)
                logging.basicConfig(stream=sys.stderr, format="%(message)s", force=True)
                collective_trace.log_when_asked()
                body(len(started))
            finally:
                os._exit(99)
        started.append(pid)
        return pid

    yield start
    for pid in started:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def until(condition):
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_rank_that_stays_away_is_told_by_the_last_collectives(start, tmp_path, monkeypatch):
    """Rank 0 stands in the second one, which rank 1 never begins."""
    monkeypatch.setenv("TORCH_FR_BUFFER_SIZE", "100")

    def body(rank):
        dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=rank, world_size=2)
        dist.all_reduce(torch.ones(3))
        (tmp_path / f"up-{rank}").touch()
        if rank == 0:
            dist.all_reduce(torch.ones(7))
        time.sleep(60)

    pids = [start(body), start(body)]
    until(lambda: len(list(tmp_path.glob("up-*"))) == 2)
    time.sleep(0.2)
    for pid in pids:
        os.kill(pid, collective_trace.TRACE_SIGNAL)
    waiting, absent = tmp_path / "log-0", tmp_path / "log-1"
    until(lambda: waiting.read_text().count("\n") == 2 and absent.read_text().count("\n") == 1)
    first, second = waiting.read_text().splitlines()
    assert first.startswith("collective 1: gloo:all_reduce of [[3]], begun ")
    assert first.endswith(" s ago, finished")
    assert second.startswith("collective 2: gloo:all_reduce of [[7]], begun ")
    assert second.endswith(" s ago, not finished")
    assert absent.read_text().startswith("collective 1: gloo:all_reduce of [[3]]")


def test_before_there_is_a_group_there_is_nothing_to_tell(start, tmp_path):
    pid = start(lambda _: ((tmp_path / "up").touch(), time.sleep(60)))
    until((tmp_path / "up").exists)
    os.kill(pid, collective_trace.TRACE_SIGNAL)
    time.sleep(0.3)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    assert not (tmp_path / "log-0").read_text()
