"""Programs that the tests start warm are like any other for whoever starts, signals and looks for them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import warm

PROGRAM = """
import json, os, signal, subprocess, sys

def facts():
    mask = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
    handled = [number for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2) if signal.getsignal(number) is not signal.SIG_DFL]
    torch = "torch" in sys.modules and sys.modules["torch"].get_num_threads()
    return {
        "pid": os.getpid(), "parent": os.getppid(), "cwd": os.getcwd(), "A": os.environ.get("A"), "PATH": os.environ.get("PATH"),
        "session": os.getsid(0), "mask": mask, "handled": handled, "argv": sys.argv[1:], "name": __name__, "threads": torch,
        "cmdline": open("/proc/self/cmdline", "rb").read().rstrip(b"\\0").decode().split("\\0"),
        "open": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:3],
    }

if sys.argv[1] == "facts":
    print(json.dumps(facts()))
elif sys.argv[1] == "nested":
    mine = facts()
    done = subprocess.run([sys.executable, "-m", "program", "facts"], capture_output=True, text=True, check=True)
    print(json.dumps([mine, json.loads(done.stdout)]))
elif sys.argv[1] == "exit":
    sys.exit(int(sys.argv[2]))
elif sys.argv[1] == "words":
    sys.exit("these are the last words")
elif sys.argv[1] == "raise":
    raise ValueError("an error of the program")
elif sys.argv[1] == "echo":
    print(sys.stdin.read().upper(), end="")
    print("and to the other", file=sys.stderr)
elif sys.argv[1] == "parent":
    child = subprocess.Popen([sys.executable, "-m", "program", "sleep"])
    print(child.pid, flush=True)
    child.wait()
elif sys.argv[1] == "sleep":
    import time
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    (folder / "program.py").write_text(PROGRAM)
    return folder


@pytest.fixture
def start(folder):
    began = []

    def started(*arguments, popen=warm.Popen, **asked):
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), **asked.pop("env", {})}
        asked = {"cwd": folder, "stdout": subprocess.PIPE, "text": True, **asked}
        began.append(popen([sys.executable, "-m", "program", *arguments], env=environ, **asked))
        return began[-1]

    yield started
    for process in began:
        with process:
            process.kill()


@pytest.mark.parametrize("popen", [subprocess.Popen, warm.Popen], ids=["cold", "warm"])
def test_it_is_as_it_was_asked_for(start, folder, popen):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        process = start("facts", "x y", popen=popen, env={"A": "a", "OMP_NUM_THREADS": "1"}, start_new_session=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    found = json.loads(process.communicate()[0])
    assert process.returncode == 0
    assert (found["pid"], found["parent"], found["session"]) == (process.pid, os.getpid(), process.pid)
    assert (found["cwd"], found["A"], found["PATH"]) == (str(folder), "a", os.environ["PATH"])
    assert (found["argv"], found["name"], found["handled"]) == (["facts", "x y"], "__main__", [])
    assert found["mask"] == [signal.SIGUSR2]
    assert found["cmdline"] == [sys.executable, "-m", "program", "facts", "x y"]
    assert found["open"] == [0, 1, 2]
    assert found["threads"] == (1 if popen is warm.Popen else False)


def test_what_it_starts_is_warm_and_its_own_child(start):
    mine, its = json.loads(start("nested", env={"OMP_NUM_THREADS": "1"}).communicate()[0])
    assert its["parent"] == mine["pid"]
    assert its["session"] == mine["session"]
    assert its["threads"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [(("exit", "75"), 75, ""), (("words",), 1, "last words"), (("raise",), 1, "ValueError: an error of")],
)
def test_its_end_is_the_interpreters(start, arguments, code, says):
    process = start(*arguments, stderr=subprocess.PIPE)
    errors = process.communicate()[1]
    assert process.returncode == code
    assert says in errors


def test_streams(start):
    process = start("echo", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.communicate("said") == ("SAID", "and to the other\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGKILL])
def test_a_signal_ends_it(start, number):
    process = start("sleep")
    process.send_signal(number)
    assert process.wait(10) == -number


def test_a_child_outlives_a_killed_parent_as_ever(start):
    process = start("parent")
    child = int(process.stdout.readline())
    process.kill()
    process.wait(10)
    time.sleep(0.2)
    assert _runs(child)
    assert int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1]) != os.getpid()
    os.kill(child, signal.SIGKILL)
    end = time.monotonic() + 10
    while _runs(child):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_servers_end_with_their_processes(start):
    process = start("facts")
    process.communicate()
    end = time.monotonic() + 10
    while _servers_of(process.pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_command_of_another_kind_starts_as_ever():
    with warm.Popen(["echo", "said"], stdout=subprocess.PIPE) as process:
        assert process.stdout.read() == b"said\n"


def test_libraries_read_the_hub_s_address_anew(folder):
    (folder / "address.py").write_text("import huggingface_hub.constants as found; print(found.ENDPOINT, found.HF_HUB_OFFLINE)")
    environ = {"PYTHONPATH": str(folder), "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    with warm.Popen([sys.executable, "-m", "address"], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.read().split() == ["http://127.0.0.1:9", "False"]


def _runs(pid):
    path = Path(f"/proc/{pid}/cmdline")
    return path.exists() and bool(path.read_bytes())


def _servers_of(pid):
    mark = f"server\0of\0{pid}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path.parent.name] * path.read_bytes().startswith(mark)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
