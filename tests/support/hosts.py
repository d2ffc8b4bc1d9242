"""Two hosts on one machine: network, process, host-name and mount namespaces, joined by a cable, with nothing else in common.

    a ── 10.x.0.1 ═══ 10.x.0.2 ── b

A server on this machine's loopback interface is found on theirs: a socket in their network, held here, leads to it.
A host's own name leads to 127.0.1.1, as on many systems, so whoever listens where its name leads is heard by nobody.  Killing a
host's first process kills all that runs on it, at once.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support import jobs

PROGRAMS = ("ip", "nsenter", "unshare", "mount")
_INIT = 'hostname "$1" && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"'
_CLONE_NEWNET = 0x40000000


def are_possible() -> bool:
    """Whether namespaces can be made here: programs, rights, and a kernel that has them."""
    if os.geteuid() != 0 or not all(shutil.which(program) for program in PROGRAMS):
        return False
    name = f"job-{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        pair = ["ip", "link", "add", "v0", "netns", name, "type", "veth", "peer", "name", "v1", "netns", name]
        made = subprocess.run(pair, capture_output=True, check=False).returncode == 0
        subprocess.run(["ip", "netns", "delete", name], check=True)
    return made


@dataclass(frozen=True)
class Host:
    """One of the hosts."""

    name: str
    address: str
    namespace: str
    names_file: Path

    def start(self, environ: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
        """Start the job's node process on it, with a folder of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        apart = ["unshare", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        init = ["sh", "-c", _INIT, "sh", self.name, str(self.names_file)]
        return jobs.start(environ, folder / "log", ["nsenter", f"--net=/run/netns/{self.namespace}", *apart, *init])


def send(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a host's first process, the job; SIGKILL takes the whole host down."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), number)


@contextlib.contextmanager
def two_hosts(folder: Path, server_port: int) -> Iterator[tuple[Host, Host]]:
    """The hosts, for as long as the block runs; a server on loopback here is led to them at the same port.

    The main node is called ``main-node`` on both.
    """
    prefix, tag = f"10.{100 + os.getpid() % 100}", f"job{os.getpid()}"
    found = []
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(("a", "b"), start=1):
            namespace = f"{tag}{name}"
            _ip("netns", "add", namespace)
            stack.callback(_ip, "netns", "delete", namespace)
            names = folder / f"hosts-{name}"
            names.write_text(f"127.0.0.1 localhost\n127.0.1.1 host-{name}\n{prefix}.0.1 main-node\n")
            found.append(Host(f"host-{name}", f"{prefix}.0.{number}", namespace, names))
        a, b = found
        _ip("link", "add", "nodes", "netns", a.namespace, "type", "veth", "peer", "name", "nodes", "netns", b.namespace)
        for host in found:
            _ip("-netns", host.namespace, "address", "add", f"{host.address}/24", "dev", "nodes")
            for device in ("lo", "nodes"):
                _ip("-netns", host.namespace, "link", "set", device, "up")
            stack.enter_context(_led(host.namespace, server_port))
        yield a, b


def end(*processes: subprocess.Popen[bytes]) -> None:
    """Take hosts down that are still up."""
    for process in processes:
        if process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                send(process, signal.SIGKILL)
            process.kill()
        process.wait()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def _led(namespace: str, port: int) -> Iterator[None]:
    """Connections to a port of loopback in the namespace are led to the same port of loopback here."""
    with ThreadPoolExecutor(1) as pool:
        server = pool.submit(_listening_in, namespace, port).result()
    over = threading.Event()

    def accept() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                inner, _ = server.accept()
                threading.Thread(target=_join, args=(inner, port), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


def _listening_in(namespace: str, port: int) -> socket.socket:
    """A socket belongs to the network in which it was made; the thread that makes it ends with that."""
    with Path(f"/run/netns/{namespace}").open() as there:
        if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    return socket.create_server(("127.0.0.1", port))


def _join(inner: socket.socket, port: int) -> None:
    """Lead one connection on, in both directions, to its end."""
    with inner, socket.create_connection(("127.0.0.1", port)) as outer:
        back = threading.Thread(target=_pour, args=(outer, inner), daemon=True)
        back.start()
        _pour(inner, outer)
        back.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
