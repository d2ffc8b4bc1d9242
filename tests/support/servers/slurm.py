"""A real Slurm on loopback: munge, one controller, several nodes, for as long as a block runs.  No systemd, no accounting.

Each node is a namespace of mounts and processes of its own: it has its own host name, its own scratch disk, and its own view of
/etc/hosts, and whatever it started dies with it.  The network is the machine's, so a node is told apart by its port.

Made quick for tests: a requeued job waits 6 s instead of 121 s (``cred_expire``; it may not be less than 5), a lost node is
noticed within 15 to 30 s (``SlurmdTimeout``), the scheduler looks every second.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.servers.processes import free_ports, running, wait_until

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel", "sinfo", "munged", "unshare")
OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
"""States of a job that will not run again."""
CALL_TIMEOUT_S = 30
"""An ``srun`` or ``scontrol`` that gets no answer waits for ever."""
_SPACES = ("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")

_CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/sock,cred_expire=5
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,sched_min_interval=200000,bf_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
KillWait=60
MinJobAge=3600
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=1 RealMemory=4000
PartitionName=low Nodes=n[1-{nodes}] Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=30 OverSubscribe=NO
PartitionName=high Nodes=n[1-{nodes}] MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""
_NODE = """
mount --bind {folder}/hosts /etc/hosts
mount --bind {folder}/disk/{name} {folder}/scratch
hostname {name}
slurmd -D -N {name} -f {folder}/slurm.conf &
while :; do wait; sleep 0.2; done
"""


@dataclass
class Slurm:
    """A running cluster."""

    folder: Path
    nodes: tuple[str, ...]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def scratch(self) -> Path:
        """A folder that is another disk on every node."""
        return self.folder / "scratch"

    def environ(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "SLURM_TIME_FORMAT": "standard"}

    def call(self, *command: str, check: bool = True, cwd: Path | None = None, **environ: str) -> str:
        """What a command of Slurm's says."""
        done = subprocess.run(
            command,
            env={**self.environ(), **environ},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=CALL_TIMEOUT_S,
        )
        if check and done.returncode:
            raise RuntimeError(f"{command} failed: {done.stderr}")
        return done.stdout + done.stderr

    def show(self, job: str) -> dict[str, str]:
        """``scontrol show job``; of an array element under ``<array>_<index>``."""
        said = self.call("scontrol", "--oneliner", "show", "job", job)
        fields = dict(re.findall(r"(\S+?)=(.*?)(?= \S+?=|$)", said.strip()))
        comment = re.search(r" Comment=(.*?) +StdErr=", said)  # free text, in which something may look like a field
        return {**fields, "Comment": comment[1] if comment else ""}

    def state(self, job: str) -> str:
        return self.show(job)["JobState"]

    def daemons(self, node: str) -> list[int]:
        """Process ids of the node's daemon, as the machine numbers them."""
        shells = _children(self.processes[node].pid)
        return [pid for shell in shells for pid in _children(shell) if _command(pid).startswith(b"slurmd\0")]

    def kill_daemon(self, node: str) -> None:
        """``slurmd`` of the node dies; what runs there goes on."""
        for pid in self.daemons(node):
            os.kill(pid, signal.SIGKILL)


@cache
def is_installed() -> bool:
    """Whether the programs are there, and nodes can have namespaces of their own."""
    if not all(shutil.which(program) for program in PROGRAMS):
        return False
    return subprocess.run([*_SPACES, "true"], check=False, capture_output=True).returncode == 0


@contextlib.contextmanager
def slurm(num_nodes: int = 4) -> Iterator[Slurm]:
    """A cluster of idle nodes ``n1`` ... for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as name, contextlib.ExitStack() as stack:
        cluster = Slurm(Path(name), tuple(f"n{number}" for number in range(1, num_nodes + 1)))
        _configure(cluster)
        _start(cluster, stack)
        stack.callback(_clear, cluster)
        yield cluster


def _configure(cluster: Slurm) -> None:
    folder, base = cluster.folder, free_ports(len(cluster.nodes) + 1)
    folder.chmod(0o755)
    for part in ("log", "state", "spool", "munge", "scratch", *(f"disk/{node}" for node in cluster.nodes)):
        (folder / part).mkdir(parents=True)
    key = folder / "munge" / "key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    host = os.uname().nodename
    ports = {"controller": base, "first": base + 1, "last": base + len(cluster.nodes)}
    (folder / "slurm.conf").write_text(_CONFIG.format(folder=folder, host=host, nodes=len(cluster.nodes), **ports))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # looking for the right one fails where none is mounted
    hosts = Path("/etc/hosts").read_text() + "".join(f"127.0.0.1 {node}\n" for node in cluster.nodes)
    (folder / "hosts").write_text(hosts)


def _start(cluster: Slurm, stack: contextlib.ExitStack) -> None:
    folder = cluster.folder

    def start(name: str, *command: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = folder / "log" / f"{name}.out"
        cluster.processes[name] = stack.enter_context(running(command, log, cluster.environ()))
        return cluster.processes[name], log

    munge = {"key-file": "key", "socket": "sock", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munged = start("munged", "munged", "--foreground", *(f"--{option}={folder}/munge/{name}" for option, name in munge.items()))
    wait_until((folder / "munge" / "sock").exists, *munged)
    controller = start("slurmctld", "slurmctld", "-D", "-c", "-f", str(folder / "slurm.conf"))
    for node in cluster.nodes:
        start(node, *_SPACES, "bash", "-c", _NODE.format(folder=folder, name=node))
    idle = " ".join(["idle"] * len(cluster.nodes))
    wait_until(lambda: cluster.call("sinfo", "-h", "-N", "-p", "low", "-o", "%T", check=False).split() == idle.split(), *controller)


def _clear(cluster: Slurm) -> None:
    """End what still runs, while there are daemons to do it."""
    cluster.call("scancel", "--user=root", check=False)
    end = time.monotonic() + 5
    while cluster.call("squeue", "-h", check=False).strip() and time.monotonic() < end:
        time.sleep(0.1)
    for node in cluster.nodes:
        cluster.processes[node].kill()  # the first process of a node's namespace takes all others with it


def _children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def submit(cluster: Slurm, script: Path, *options: str, cwd: Path, **environ: str) -> str:
    """``sbatch``; the job's number."""
    return cluster.call("sbatch", "--parsable", *options, str(script), cwd=cwd, **environ).strip()
