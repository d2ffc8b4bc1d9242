"""What to start for a worker program, computed first (pure), then started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from job.cluster.stop import SIGNALS as STOP_SIGNALS
from job.cluster.topology import Topology
from job.run_dir import RunDir

SECRET_PREFIXES = ("AWS_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "JOB_")
"""Workers have no network client and get no credentials; their settings come from the run directory."""
GONE_TIMEOUT_S, GONE_POLL_S = 10.0, 0.02
"""How long a killed process may take to be gone; longer only when a disk or device holds it."""
LAUNCHER_PREFIXES = ("PET_", "TORCHELASTIC_", "ACCELERATE_", "FSDP_", "DEEPSPEED_")
LAUNCHER_NAMES = frozenset(
    [
        *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE"),
        *("MASTER_ADDR", "MASTER_PORT", "PMI_RANK", "PMI_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
        *("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ]
)
"""What an outer launcher or scheduler (mpirun, srun, a PyTorchJob) says of its own processes.  torchrun and accelerate would take
it for the workers' group, or for another engine than the one asked for."""


@dataclass(frozen=True)
class Launch:
    """A command with its environment."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Rendezvous:
    """Where the launchers of all nodes meet: the main node's address and a port of it.

    ``interface`` is the network interface that leads there, for collectives on CPU (empty: theirs to choose).
    """

    address: str = "127.0.0.1"
    port: int = 0
    interface: str = ""


ANYWHERE = Rendezvous()
"""On this machine, at any free port."""


def plan(program: str, run_dir: Path, topology: Topology, environ: Mapping[str, str], rendezvous: Rendezvous = ANYWHERE) -> Launch:
    """The command that runs ``job.workers.<program>`` on every worker of this node.

    One worker is started as it is; several through torchrun with ranks that follow from the node's.
    """
    module = ("-m", f"job.workers.{program}", str(run_dir))
    if topology.world_size == 1:
        return Launch((sys.executable, *module), worker_environ(environ, topology))
    torchrun = (
        *("-m", "torch.distributed.run", f"--nnodes={topology.num_nodes}", f"--node-rank={topology.node_rank}"),
        *(f"--nproc-per-node={topology.workers_per_node}", "--rdzv-backend=static"),
        *(f"--master-addr={rendezvous.address}", f"--master-port={rendezvous.port or free_port()}"),
    )
    defaults = _led_over(rendezvous.interface) | _flight_recorder(run_dir, topology)
    return Launch((sys.executable, *torchrun, *module), defaults | worker_environ(environ, topology))


def worker_environ(environ: Mapping[str, str], topology: Topology) -> dict[str, str]:
    """The environment of workers: no credentials, no network libraries, as many threads as cores were given."""
    dropped = SECRET_PREFIXES + LAUNCHER_PREFIXES
    kept = {name: value for name, value in environ.items() if not name.startswith(dropped) and name not in LAUNCHER_NAMES}
    return kept | {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "OMP_NUM_THREADS": str(topology.threads_per_worker),
        "MKL_NUM_THREADS": str(topology.threads_per_worker),
        "PYTHONUNBUFFERED": "1",
        **({"CUDA_VISIBLE_DEVICES": ""} if topology.device == "cpu" else {}),
    }


def _led_over(interface: str) -> dict[str, str]:
    """Where Gloo listens, unless the environment says otherwise: by itself it takes the interface to which the host's name leads."""
    return {"GLOO_SOCKET_IFNAME": interface} if interface else {}


def _flight_recorder(run_dir: Path, topology: Topology) -> dict[str, str]:
    """Each rank's last collectives are kept, for `job.workers.collective_trace`; the environment is stronger.

    NCCL also writes them beside the logs when one of them times out.  The names are those that torch reads; `torchfrtrace` reads
    the files.
    """
    kept = {"TORCH_FR_BUFFER_SIZE": "2000"}
    if topology.device != "cuda":
        return kept
    trace = RunDir(run_dir).log("nccl").with_name("nccl-trace-rank-")
    return kept | {"TORCH_NCCL_DUMP_ON_TIMEOUT": "1", "TORCH_FR_DUMP_TEMP_FILE": str(trace)}


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def start(launch: Launch, log: Path) -> subprocess.Popen[bytes]:
    """Start a command that no stop signal reaches; its output goes to ``log``.

    It gets a session of its own, because some signal the node process's whole group, and begins with these signals blocked, because
    others signal every process of a container or step: a launcher or a worker whose interpreter is still starting would die of it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output, _blocked(STOP_SIGNALS):
        return subprocess.Popen(
            launch.argv,
            env=dict(launch.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextlib.contextmanager
def _blocked(signals: Collection[signal.Signals]) -> Iterator[None]:
    """Block signals in this thread, and in what it starts; here those that came meanwhile are answered afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end(process: subprocess.Popen[bytes], run_dir: Path) -> None:
    """End a program at once, whatever state it is in: the launcher and every worker, which have sessions of their own."""
    process.kill()
    end_leftovers(run_dir)
    process.wait()


def workers_of(run_dir: Path) -> list[int]:
    """Process ids of all worker programs of a run directory, also those that an earlier, killed node process left behind."""
    mark = b"\0" + os.fsencode(str(run_dir)) + b"\0"
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes()
            if b"\0job.workers." in command and mark in command:
                found.append(int(folder.name))
    return found


def end_leftovers(run_dir: Path) -> int:
    """End the workers of an attempt whose node process is gone, and wait until they are; the number of them.

    Looked for again after each round: a launcher may have been about to start one more.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while (pids := workers_of(run_dir)) and time.monotonic() < deadline:
        ended.update(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(GONE_POLL_S)
    return len(ended)
