"""Starts of Python programs without the cost of their imports: forked from a process that has everything imported.

A whole job starts up to seven interpreters, each of which imports torch and transformers for seconds.  A server imports them once; `Popen`
has a fork of it run ``python -m module``, and so has every ``subprocess.Popen`` in what was started so, all the way down.  Other commands
start as ever.  What is started is a child of whoever asked, with the environment, directory, streams, session, signal mask and command
line that were asked for, and from its first line on everything is the real thing.  What this does not show, and tests with ``cold=True``
do: interpreters that are killed while they start, string hashes that differ between processes, and variables that a library
reads when it is imported.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

PRELOADED = (
    *("torch", "torch.distributed.run", "transformers", "datasets", "accelerate", "safetensors.torch", "sklearn.metrics"),
    *("transformers.models.distilbert.modeling_distilbert", "boto3", "botocore.httpsession"),
    *("job.cli", "job.pipeline", "job.workers.prepare", "job.workers.train", "job.workers.evaluate"),
)
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""What `job.cluster.launch` gives to workers and libraries read at their import."""
ANEW = {"HF_ENDPOINT": ("huggingface_hub", "job")}
"""Variables, and the packages that are imported once more where they are set."""
PACKAGES = [place for place in sys.path if place.startswith((sys.prefix, sys.base_prefix))]
"""Where modules are looked for behind the current directory and PYTHONPATH."""
ROOM = 4000
"""Bytes for a command line."""
PR_SET_CHILD_SUBREAPER = 36
MESSAGE_BYTES = 1 << 20
ROOT = Path(__file__).parents[2]
# Private, and unknown to the type stubs: the one method in which `subprocess` makes a child.  All around it (pipes, wait, poll, kill) stays.
REAL = subprocess.Popen._execute_child  # type: ignore[attr-defined]

libc = ctypes.CDLL(None, use_errno=True)


class Server:
    """The connection to this process's own server."""

    def __init__(self, connection: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        self._connection, self._process = connection, process
        self._lock = threading.Lock()

    def start(self, argv: Sequence[str], streams: Sequence[int], **asked: Any) -> int:
        """Start a module as a child of this process; its process id."""
        message = json.dumps({"argv": list(argv), **asked}).encode()
        assert len(message) < MESSAGE_BYTES, "more than fits in one message"
        with self._lock:
            # The child's own parent ends at once: the child falls to the nearest process that takes orphans, for this moment this one.
            libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(self._connection, [message], list(streams))
                return int(self._connection.recv(64))
            finally:
                libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def close(self) -> None:
        """Let the server end."""
        self._connection.close()
        if self._process:
            self._process.wait()


class Popen(subprocess.Popen[Any]):
    """As ``subprocess.Popen``; ``[sys.executable, "-m", module, ...]`` is started by this process's server, which starts with the first."""

    def _execute_child(self, args: Any, *rest: Any) -> None:
        ready()
        _execute_child(self, args, *rest)


class Current:
    """This process's server, once there is one."""

    server: Server | None = None


def ready() -> None:
    """Start the first server unless it is there: what is timed afterwards does not pay for its imports."""
    Current.server = Current.server or _first_server()


def _first_server() -> Server:
    """A fresh interpreter that imports everything; it ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environ = {**{name: value for name, value in os.environ.items() if not name.startswith("JOB_")}, **OFFLINE}
    command = [sys.executable, "-m", "tests.support.warm", str(theirs.fileno()), " " * ROOM]
    with theirs:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    assert ours.recv(64) == b"ready", "the server did not start"
    server = Server(ours, process)
    atexit.register(server.close)
    return server


def _execute_child(self: Any, args: Any, *rest: Any) -> None:
    """In place of ``Popen._execute_child``: the same arguments, and ``pid`` is set."""
    executable, preexec_fn, _, pass_fds, cwd, env, *others = rest
    argv = [] if isinstance(args, str | bytes) else [os.fsdecode(part) for part in args]
    if Current.server is None or preexec_fn or pass_fds or executable or argv[:1] != [sys.executable] or "-m" not in argv[1:3]:
        REAL(self, args, *rest)
        return
    pipes, session = others[3:9], others[-2]
    streams = [asked if asked != -1 else own for own, asked in enumerate((pipes[0], pipes[3], pipes[5]))]
    environ = {os.fsdecode(name): os.fsdecode(value) for name, value in (os.environ if env is None else env).items()}
    mask = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))
    try:
        self.pid = Current.server.start(
            argv, streams, cwd=os.fspath(cwd or Path.cwd()), session=bool(session), environ=environ, mask=mask
        )
        self._child_created = True
    finally:
        self._close_pipe_fds(*pipes)


def serve(connection: socket.socket) -> None:
    """Start what is asked for until the other side is gone; returns in each process that was started, with its request."""
    while True:
        message, streams, *_ = socket.recv_fds(connection, MESSAGE_BYTES, 3)
        if not message:
            os._exit(0)
        inlet, outlet = os.pipe()
        middle = os.fork()
        if middle == 0:
            middle = os.getpid()
            if child := os.fork():
                os.write(outlet, str(child).encode())
                os._exit(0)
            while os.getppid() == middle:
                os.sched_yield()
            connection.close()
            become(json.loads(message), streams)
        child_pid = os.read(inlet, 64)
        os.waitpid(middle, 0)
        for number in (inlet, outlet, *streams):
            os.close(number)
        connection.send(child_pid)


def become(request: dict[str, Any], streams: Sequence[int]) -> NoReturn:
    """Turn this process into what was asked for, with a server of its own, and run it to its end."""
    for own, given in enumerate(streams):
        os.dup2(given, own)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["cwd"])
    if request["session"]:
        os.setsid()
    argv: list[str] = request["argv"]
    name_process(argv)
    at = argv.index("-m") + 1
    _fork_server()
    subprocess.Popen._execute_child = _execute_child  # type: ignore[attr-defined]
    for name in [name for name in sys.modules if name.partition(".")[0] in _read_anew()]:
        del sys.modules[name]
    if "OMP_NUM_THREADS" in os.environ:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["mask"])
    _run(argv[at], argv[at:])


def _read_anew() -> set[str]:
    return {package for variable, packages in ANEW.items() if variable in os.environ for package in packages}


def _fork_server() -> None:
    """This process's own server: as fresh as this process is now."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        # The streams are not its own: who reads a pipe to its end waits for nobody but the process it started.
        nothing = os.open(os.devnull, os.O_RDWR)
        for own in range(3):
            os.dup2(nothing, own)
        name_process(["server", "of", str(os.getppid())])
        serve(theirs)
    theirs.close()
    Current.server = Server(ours)


def _run(module: str, argv: list[str]) -> NoReturn:
    """Run a module as ``python -m`` does, and end as the interpreter does."""
    sys.modules.pop(module, None)
    own = [str(Path.cwd()), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv, sys.path[:] = argv, [*own, *PACKAGES]
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(ended.code + "\n")
    except BaseException:  # as the interpreter does with whatever nobody caught
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def name_process(argv: Sequence[str]) -> None:
    """Let ``/proc/<pid>/cmdline`` say what runs here: whoever looks for the job's workers looks there."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, proc(5); the text after the name begins with field 3
    text = b"".join(os.fsencode(part) + b"\0" for part in argv)[: end - start - 1]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))


def main() -> None:
    """The first server: ``python -m tests.support.warm FD <room>``."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # of what lies here nothing is looked at again, so its pages stay shared
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT])
    connection.send(b"ready")
    serve(connection)


if __name__ == "__main__":
    main()
