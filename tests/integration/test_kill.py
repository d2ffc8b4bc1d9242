"""SIGKILL of the node process in the middle of training: what it leaves behind must not disturb, and nothing may be lost."""

import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from job.cluster import launch
from tests.support import jobs, tiny

EVERY, LAST = 20, 240
STEPS = {"TRAIN__MAX_STEPS": str(LAST), "CHECKPOINT__EVERY_STEPS": str(EVERY), "EVAL__EVERY_STEPS": "50"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    tiny.write_model(folder / "model")
    tiny.write_csv(folder / "train.csv", tiny.sentences(300))
    return folder


def environ(inputs, folder):
    places = {"RUN__DIR": str(folder / "runs"), "OUTPUT__URI": str(folder / "store"), "PARALLEL__WORKERS_PER_NODE": "2"}
    return tiny.environ(inputs, **places, **STEPS)


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    ended = jobs.run(environ(inputs, folder), folder / "log")
    assert ended.code == 0, ended.output
    return folder


@pytest.fixture(scope="module")
def killed(inputs, tmp_path_factory):
    """A run whose node process was killed after its first commit, and was started again.

    ``still`` are the workers that went on without it, ``beside`` those of them that did so when the next start's own began.
    """
    folder = tmp_path_factory.mktemp("killed")
    process = jobs.start(environ(inputs, folder), folder / "first", cold=True)
    try:
        jobs.wait_for(lambda: commits(folder), process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = launch.workers_of(folder / "runs/tiny")
    time.sleep(1)
    still = [pid for pid in left if is_alive(pid)]
    committed = max(commits(folder))
    second = jobs.start(environ(inputs, folder), folder / "second", cold=True)
    jobs.wait_for(lambda: set(launch.workers_of(folder / "runs/tiny")) - set(left), second)
    beside = [pid for pid in left if is_alive(pid)]
    return SimpleNamespace(folder=folder, still=still, beside=beside, committed=committed, code=second.wait(300))


@pytest.mark.parametrize(("moment", "number"), [("launcher", signal.SIGUSR2), ("workers", signal.SIGTERM)])
def test_a_stop_signal_to_every_process_finds_interpreters_that_are_starting(inputs, tmp_path, moment, number):
    """torchrun, or its workers, have only just begun and know no handler yet."""
    log, expected = tmp_path / "log", {"launcher": 1, "workers": 3}[moment]
    process = jobs.start(environ(inputs, tmp_path), log, cold=True)
    try:
        jobs.wait_for(lambda: len(of_program(tmp_path, "train")) >= expected, process)
        for pid in [process.pid, *of_program(tmp_path, "train")]:
            os.kill(pid, number)
        assert process.wait(300) == 75, log.read_text()
    finally:
        process.kill()
        process.wait()


def of_program(folder, program):
    """Process ids of one worker program and of its launcher."""
    mark = f"\0job.workers.{program}\0".encode()
    pids = launch.workers_of(folder / "runs/tiny")
    return [pid for pid in pids if is_alive(pid) and mark in Path(f"/proc/{pid}/cmdline").read_bytes()]


def commits(folder):
    return [entry["fields"]["step"] for entry in jobs.log_entries(folder / "store", "tiny") if entry["kind"] == "committed"]


def is_alive(pid):
    """Whether it runs: a killed process that nobody waited for is listed still, without a command line."""
    path = Path(f"/proc/{pid}/cmdline")
    return path.exists() and bool(path.read_bytes())


def test_the_workers_are_left_behind(killed):
    """What the second start has to deal with: torchrun and its two workers, in sessions of their own."""
    assert len(killed.still) == 3


def test_the_next_start_ends_them_before_its_own_begin(killed):
    assert killed.beside == []


def test_the_next_start_completes(killed):
    assert killed.code == 0, (killed.folder / "second").read_text()
    assert launch.workers_of(killed.folder / "runs/tiny") == []


def test_it_continues_from_the_last_commit(killed):
    plan = json.loads((killed.folder / "runs/tiny/plan.json").read_bytes())
    assert plan["start_step"] == killed.committed >= EVERY


def test_the_weights_are_those_of_a_run_that_was_not_killed(killed, undisturbed):
    weights = [
        (jobs.published(folder / "store", "tiny") / "model.safetensors").read_bytes() for folder in (killed.folder, undisturbed)
    ]
    assert weights[0] == weights[1]


def test_the_history_has_both_attempts_and_no_step_twice(killed):
    folder, committed = killed.folder, killed.committed
    kinds = [entry["kind"] for entry in jobs.log_entries(folder / "store", "tiny") if entry["kind"] != "deleted"]
    assert kinds[:2] == ["started", "committed"]
    assert kinds.count("started") == 2
    assert kinds[-2:] == ["published", "complete"]
    assert "failed" not in kinds
    records = [json.loads(line) for line in (folder / "runs/tiny/metrics.jsonl").read_bytes().splitlines()]
    steps = [record["step"] for record in records if "train/loss" in record]
    assert steps == sorted(set(steps))
    assert {record["attempt"] for record in records if record["step"] > committed + 10} == {2}


def test_no_half_written_file_is_left(killed):
    folder = killed.folder
    assert [os.fspath(path) for path in (folder / "runs").rglob(".tmp-*")] == []
    assert [os.fspath(path) for path in (folder / "store").rglob(".tmp-*")] == []
