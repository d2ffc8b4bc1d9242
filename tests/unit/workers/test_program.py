"""Programs in processes of their own: forked, so that each takes milliseconds instead of an interpreter's start."""

import json
import os
import signal
import sys
import time

import pytest

from job.errors import DataError, StopRequested
from job.run_dir import RunDir
from job.workers import program
from job.workers.collective_trace import TRACE_SIGNAL
from job.workers.program import Heartbeat, run_program
from tests.support import tiny


@pytest.fixture
def run_dir(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    tiny.write_settings(tmp_path, run_dir.root)
    return run_dir


@pytest.fixture
def start(run_dir, monkeypatch):
    """Run a body as the program ``train``; its process id."""
    monkeypatch.setattr(sys, "argv", ["train", str(run_dir.root)])
    started = []

    def start(body, environ=None):
        pid = os.fork()
        if pid == 0:
            try:
                os.environ.update(environ or {})
                sys.stderr = run_dir.log("x").with_name("stderr").open("w")
                run_program("train", body)
            finally:
                os._exit(99)
        started.append(pid)
        return pid

    run_dir.log("x").parent.mkdir(parents=True)
    yield start
    for pid in started:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def end(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def outcome(run_dir, rank=0):
    return json.loads(run_dir.outcome("train", rank).read_text())


def log(run_dir):
    return (run_dir.root / "logs/stderr").read_text()


def until(condition):
    limit = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_success(run_dir, start):
    def body(given, settings):
        assert (given, settings.run.name) == (run_dir, "tiny")

    assert end(start(body)) == 0
    assert outcome(run_dir) == {"code": 0, "time": pytest.approx(time.time(), abs=60), "rank": 0}


def test_an_outcome_of_ours(run_dir, start):
    def body(*_):
        raise DataError("row 7 is odd", "mend it")

    assert end(start(body, {"RANK": "3", "WORLD_SIZE": "4"})) == 65
    record = outcome(run_dir, rank=3)
    assert (record["code"], record["name"], record["message"], record["hint"]) == (65, "data", "row 7 is odd", "mend it")
    assert (record["rank"], record["peer_lost"]) == (3, False)
    line = json.loads(log(run_dir).splitlines()[-1])
    assert (line["level"], line["message"], line["rank"], line["program"]) == ("error", "ended: row 7 is odd mend it", 3, "train")


def test_a_bug_leaves_its_stack_in_the_log(run_dir, start):
    def with_a_bug(*_):
        return {}["absent"]

    assert end(start(with_a_bug)) == 70
    assert outcome(run_dir)["message"] == "KeyError: 'absent'"
    assert "in with_a_bug" in json.loads(log(run_dir).splitlines()[-1])["stack"]


@pytest.mark.parametrize("words", ["gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1", "ncclRemoteError: x"])
def test_a_lost_peer_is_said_to_be_one(run_dir, start, words):
    def body(*_):
        raise RuntimeError(words)

    assert end(start(body)) == 70
    assert outcome(run_dir)["peer_lost"]


def test_a_full_disk(run_dir, start):
    def body(*_):
        raise OSError(28, "No space left on device", "/work/x")

    assert end(start(body)) == 74


def test_a_stop_is_no_error(run_dir, start):
    def body(*_):
        raise StopRequested("asked to")

    assert end(start(body)) == 75
    assert json.loads(log(run_dir).splitlines()[-1])["level"] == "info"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT])
def test_signals_neither_end_a_worker_nor_ask_it_to_stop(run_dir, start, number):
    """torchrun sends SIGTERM to the survivors of a failure, which must not become a stop request of the run."""

    def body(given, _):
        (given.root / "up").touch()
        until((given.root / "down").exists)

    pid = start(body)
    until((run_dir.root / "up").exists)
    os.kill(pid, number)
    (run_dir.root / "down").touch()
    assert end(pid) == 0
    assert not run_dir.stop.exists()


def test_stacks_on_request(run_dir, start):
    def waits_for_ever(given, _):
        (given.root / "up").touch()
        time.sleep(30)

    pid = start(waits_for_ever)
    until((run_dir.root / "up").exists)
    os.kill(pid, program.DUMP_SIGNAL)
    until(lambda: "in waits_for_ever" in log(run_dir))


def test_heartbeat(run_dir):
    heartbeat = Heartbeat(run_dir, "train", 2)
    path = run_dir.heartbeat("train", 2)
    os.utime(path, (0, 0))
    heartbeat.beat()
    assert path.stat().st_mtime == pytest.approx(time.time(), abs=60)


def test_memory_that_nobody_could_do_without_is_no_bug(run_dir, start):
    def body(*_):
        import torch

        torch.empty(2**50)

    assert end(start(body)) == 93
    assert "JOB_TRAIN__MICRO_BATCH_TOKENS" in outcome(run_dir)["hint"]


def test_asked_for_its_last_collectives_it_goes_on(start, run_dir):
    up = run_dir.root / "up"
    pid = start(lambda *_: (up.touch(), time.sleep(60)))
    until(up.exists)
    os.kill(pid, TRACE_SIGNAL)
    time.sleep(0.2)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
