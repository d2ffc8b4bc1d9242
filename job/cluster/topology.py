"""Which node this is, how many workers it runs, and which of them this process is.

Besides ``settings/root.py`` the only place that reads the environment, always from a mapping that the caller passes.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from job.cluster.nodes import ALONE, NodePlace
from job.errors import SettingsError
from job.settings.parallel import ParallelSettings

MAX_AUTO_CPU_WORKERS = 2
"""On CPU two processes of one thread beat one of two threads by about 1.2; beyond two, memory bandwidth decides."""


@dataclass(frozen=True)
class Topology:
    """The shape of one attempt: nodes, workers on each, threads of each worker."""

    num_nodes: int
    node_rank: int
    workers_per_node: int
    threads_per_worker: int
    device: str

    @property
    def world_size(self) -> int:
        return self.num_nodes * self.workers_per_node


@dataclass(frozen=True)
class WorkerPlace:
    """One worker's place in the group, as the launcher says it."""

    rank: int
    local_rank: int
    world_size: int
    node_rank: int = 0


def resolve(settings: ParallelSettings, num_cores: int, num_gpus: int, place: NodePlace = ALONE) -> Topology:
    """Choose device, workers and threads of this node.

    Raises:
        SettingsError: when more is asked for than there is.
    """
    if settings.device == "cuda" and num_gpus == 0:
        raise SettingsError(
            "JOB_PARALLEL__DEVICE=cuda, and this machine shows no GPU.", "Use auto or cpu, or run where a GPU is visible."
        )
    device = "cuda" if settings.device != "cpu" and num_gpus else "cpu"
    workers = _workers(settings, device, num_cores, num_gpus)
    _check_engine(settings, workers, place.num_nodes)
    threads = settings.threads_per_worker or max(1, num_cores // workers)
    return Topology(place.num_nodes, place.node_rank, workers, threads, device)


def _check_engine(settings: ParallelSettings, workers: int, num_nodes: int) -> None:
    if settings.engine == "single" and num_nodes > 1:
        raise SettingsError(
            "JOB_PARALLEL__ENGINE=single runs one process, and there are several nodes.", "Use another engine, or one node."
        )
    if settings.engine == "ddp" and workers * num_nodes == 1:
        raise SettingsError(
            "JOB_PARALLEL__ENGINE=ddp needs at least two workers.", "Raise JOB_PARALLEL__WORKERS_PER_NODE, or use single."
        )


def _workers(settings: ParallelSettings, device: str, num_cores: int, num_gpus: int) -> int:
    most = num_gpus if device == "cuda" else min(num_cores, MAX_AUTO_CPU_WORKERS)
    workers = settings.workers_per_node or (1 if settings.engine == "single" else most)
    if settings.engine == "single" and workers > 1:
        raise SettingsError(
            f"JOB_PARALLEL__ENGINE=single runs one process, and JOB_PARALLEL__WORKERS_PER_NODE asks for {workers}.",
            "Leave one of the two out.",
        )
    if device == "cuda" and workers > num_gpus:
        raise SettingsError(
            f"{workers} workers are asked for, and this machine shows {num_gpus} GPUs.", "Lower JOB_PARALLEL__WORKERS_PER_NODE."
        )
    return workers


def available_cores() -> int:
    """Cores this process may use: the affinity mask (Slurm, taskset) and the control group's quota (containers), whichever is less."""
    cores = len(os.sched_getaffinity(0))
    quota = _cgroup_quota(Path("/sys/fs/cgroup"))
    return max(1, min(cores, int(quota))) if quota else cores


def _cgroup_quota(root: Path) -> float | None:
    """CPUs granted by control groups, version 2 or 1; None when there is no limit."""
    try:
        if (root / "cpu.max").exists():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
    except OSError:
        return None
    return None if quota in {"max", "-1"} else int(quota) / int(period)


def visible_gpus(environ: Mapping[str, str], devices: Path = Path("/dev")) -> int:
    """Number of GPUs, counted without loading CUDA: device files, narrowed by ``CUDA_VISIBLE_DEVICES``.

    CUDA ignores that list from its first invalid entry on: empty, negative, or a number that no device has.
    """
    present = sum(1 for _ in devices.glob("nvidia[0-9]*"))
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or present == 0:
        return present
    names = [name.strip() for name in chosen.split(",")]
    invalid = {"", "-1"}
    return sum(
        1 for _ in itertools.takewhile(lambda name: name not in invalid and not (name.isdigit() and int(name) >= present), names)
    )


def worker_place(environ: Mapping[str, str] | None = None) -> WorkerPlace:
    """The worker's place from the launcher's variables; a process started alone is rank 0 of 1."""
    environ = os.environ if environ is None else environ
    rank, local_rank, node_rank = (int(environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK", "GROUP_RANK"))
    return WorkerPlace(rank, local_rank, int(environ.get("WORLD_SIZE", "1")), node_rank)


def name_local_rank(local_rank: int) -> None:
    """Say the worker's local rank in the environment: DeepSpeed looks for it there at any time, also where there was no launcher."""
    os.environ.setdefault("LOCAL_RANK", str(local_rank))


def host_memory(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory this process may use: the machine's, or the control group's limit (version 2 or 1), whichever is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in (root / "memory.max", root / "memory" / "memory.limit_in_bytes"):
        if path.exists() and (limit := path.read_text().strip()).isdigit():
            return min(total, int(limit))
    return total


def local_world_size(environ: Mapping[str, str] | None = None) -> int:
    """Workers on this node, as the launcher says."""
    environ = os.environ if environ is None else environ
    return int(environ.get("LOCAL_WORLD_SIZE", "1"))
