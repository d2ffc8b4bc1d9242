import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from job.cluster import alive
from tests.support import house

EVERY_S = 0.05
WORKING = f"""
import pathlib, sys, time
from job.cluster import alive
with alive.beating(pathlib.Path(sys.argv[1]), {EVERY_S}):
    while True:
        time.sleep(0.01)
"""
HANGING = f"""
import pathlib, sys, threading
from job.cluster import alive
lock = threading.Lock()
with lock, alive.beating(pathlib.Path(sys.argv[1]), {EVERY_S}):
    print("hangs", flush=True)
    lock.acquire()
"""


def started(program, path):
    return subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=house.ROOT, stdout=subprocess.PIPE)


def ended(process):
    process.kill()
    process.stdout.close()
    process.wait()


def touched(path, before_ns):
    return path.exists() and path.stat().st_mtime_ns > before_ns


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


def test_there_is_a_sign_of_life_while_inside_and_none_before_or_after(tmp_path):
    path = tmp_path / "alive"
    assert alive.age_s(path) is None
    with alive.beating(path):
        assert 0 <= alive.age_s(path) < 60
    assert alive.age_s(path) is None
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(alive.SERVICE)]


def test_the_age_is_by_this_machine_s_clock(tmp_path):
    path = tmp_path / "alive"
    path.touch()
    os.utime(path, (0, time.time() - 100))
    assert 100 <= alive.age_s(path) < 160


def test_a_process_that_works_is_alive_until_it_is_frozen(tmp_path):
    path = tmp_path / "alive"
    process = started(WORKING, path)
    try:
        wait_until(lambda: touched(path, 0))
        first = path.stat().st_mtime_ns
        wait_until(lambda: touched(path, first))
        process.send_signal(subprocess.signal.SIGSTOP)
        wait_until(lambda: state_of(process.pid) == "T")
        frozen = path.stat().st_mtime_ns
        time.sleep(10 * EVERY_S)
        assert path.stat().st_mtime_ns == frozen
    finally:
        ended(process)


def test_a_process_that_hangs_is_not_alive_though_it_is_not_frozen(tmp_path):
    path = tmp_path / "alive"
    process = started(HANGING, path)
    try:
        assert process.stdout.readline() == b"hangs\n"
        time.sleep(4 * EVERY_S)
        hung = path.stat().st_mtime_ns
        time.sleep(10 * EVERY_S)
        assert path.stat().st_mtime_ns == hung
        assert state_of(process.pid) == "S"
    finally:
        ended(process)


def test_threads_that_serve_others_do_not_count():
    over = threading.Event()

    def busy():
        while not over.wait(0.001):
            pass

    thread = threading.Thread(target=busy, name=f"{alive.SERVICE}metrics")
    thread.start()
    try:
        # This very thread works; of the other one nothing may be in the sum.
        own = alive.turns()
        assert thread.native_id
        thread.name = "worker"
        assert alive.turns() > own
    finally:
        over.set()
        thread.join()


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
