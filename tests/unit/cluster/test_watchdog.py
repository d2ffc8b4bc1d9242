import os
import signal
import subprocess
import sys
import time

import pytest

from job.cluster import watchdog as watchdogs
from job.cluster.watchdog import Watchdog
from job.run_dir import RunDir


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "heartbeats").mkdir()
    return RunDir(tmp_path)


def beat(run_dir, name, ago):
    path = run_dir.root / "heartbeats" / name
    path.touch()
    os.utime(path, (time.time() - ago,) * 2)


def started(run_dir, ago):
    watchdog = Watchdog(run_dir, "train", timeout_s=10)
    watchdog._started -= ago
    return watchdog


def test_the_newest_heartbeat_counts(run_dir):
    watchdog = started(run_dir, ago=100)
    assert watchdog.stalled()
    beat(run_dir, "train-0", ago=50)
    assert watchdog.stalled()
    beat(run_dir, "train-1", ago=5)
    assert not watchdog.stalled()


def test_before_the_first_heartbeat_the_start_counts(run_dir):
    assert not started(run_dir, ago=5).stalled()
    beat(run_dir, "train-0", ago=500)  # of an earlier attempt
    assert not started(run_dir, ago=5).stalled()


def test_other_programs_do_not_count(run_dir):
    beat(run_dir, "evaluate-0", ago=1)
    assert started(run_dir, ago=100).stalled()


def test_workers_are_asked_for_stacks_and_the_launcher_is_not(run_dir, monkeypatch):
    monkeypatch.setattr(watchdogs, "DUMP_WAIT_S", 0.0)
    arguments = ["job.workers.train", str(run_dir.root)]
    sleep = [sys.executable, "-ISc", "import time; print('up', flush=True); time.sleep(30)"]
    worker = subprocess.Popen([*sleep, *arguments], stdout=subprocess.PIPE)
    launcher = subprocess.Popen([*sleep, "torch.distributed.run", *arguments], stdout=subprocess.PIPE)
    try:
        assert worker.stdout.readline() == launcher.stdout.readline() == b"up\n"
        Watchdog(run_dir, "train", 10).dump_stacks()
        assert worker.wait(5) == -signal.SIGUSR1  # this one has no handler for it
        with pytest.raises(subprocess.TimeoutExpired):
            launcher.wait(0.1)
    finally:
        for process in (worker, launcher):
            process.kill()
            process.wait()
            process.stdout.close()
