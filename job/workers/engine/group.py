"""The group of processes: this one's place in it, its device and precision, collectives, and seeds."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from job.cluster import topology
from job.cluster.topology import WorkerPlace
from job.errors import CrashError, SettingsError
from job.settings.root import Settings
from job.workers.engine.shortage import no_memory_left


def native_bf16(device: str) -> bool:
    """Whether the device computes bfloat16 itself; where it is emulated it is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


class Group:
    """A worker's hold on the group.

    Attributes:
        rank, local_rank, world_size: place in the group; ``local_rank`` counts on this node.
        is_main: whether this is rank 0, which writes what is written once.
        is_local_main: whether this is the first worker of its node.
        device: where batches go.
        precision: ``fp32``, ``bf16`` or ``fp16``, resolved.
        kind: what runs on it: ``single``, ``ddp``, ``zero1``, ``zero2`` or ``zero3``.
    """

    kind = "single"

    def __init__(self, place: WorkerPlace, device: torch.device, precision: str) -> None:
        self.rank = place.rank
        self.local_rank = place.local_rank
        self.world_size = place.world_size
        self.is_main = place.rank == 0
        self.is_local_main = place.local_rank == 0
        self.device = device
        self.precision = precision

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sum each value over the ranks, in float64."""
        if self.world_size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def gather(self, value: Any) -> list[Any] | None:
        """Every rank's value on rank 0, in rank order; None elsewhere."""
        if self.world_size == 1:
            return [value]
        gathered: list[Any] | None = [None] * self.world_size if self.is_main else None
        dist.gather_object(value, gathered)
        return gathered

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value on every rank."""
        if self.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.world_size > 1:
            dist.barrier()

    def seed(self, *numbers: int) -> None:
        """Seed every generator from a tuple of numbers and the rank.

        Called with the step's number before each step: what is drawn in a step is a function of (seed, step, rank), so a run
        that continues draws what it would have drawn, with nothing to save.
        """
        low, high = np.random.SeedSequence([*numbers, self.rank]).generate_state(2)
        torch.manual_seed((int(high) << 32) | int(low))
        np.random.seed(int(low))  # noqa: NPY002 - libraries under us draw from the global generator
        random.seed(int(high))

    def out_of_memory(self, error: BaseException) -> bool:
        """Whether an error says that this rank's device has no memory left."""
        return no_memory_left(error)

    def free_memory(self) -> None:
        """Give memory that is kept for the next tensor back to the device, so that smaller ones find room."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Around a forward pass of the plain model: the engine's precision."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            yield

    def describe(self, wrapped: torch.nn.Module) -> dict[str, Any]:
        """What runs, for the records."""
        return {
            "kind": self.kind,
            "wrapped_class": type(wrapped).__name__,
            "world_size": self.world_size,
            "device": str(self.device),
            "precision": self.precision,
            "threads_per_worker": torch.get_num_threads(),
        }


def choose_device(settings: Settings, place: WorkerPlace) -> torch.device:
    """The worker's device.

    Raises:
        SettingsError: when a GPU was asked for and torch cannot use one.
    """
    if settings.parallel.device == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            f"JOB_PARALLEL__DEVICE=cuda, and this torch ({torch.__version__}) cannot use a GPU here.",
            "Use an image whose torch is built for the machine's GPU driver, or JOB_PARALLEL__DEVICE=cpu.",
        )
    if settings.parallel.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", place.local_rank)
    torch.cuda.set_device(device)
    torch.set_float32_matmul_precision("high" if settings.train.tf32 else "highest")
    return device


def choose_precision(settings: Settings, device: torch.device) -> str:
    """``fp32``, ``bf16`` or ``fp16``.

    Raises:
        SettingsError: when float16 was asked for on a CPU, where a loss scale buys nothing.
    """
    asked = settings.train.precision
    if asked == "fp16" and device.type == "cpu":
        raise SettingsError(
            "JOB_TRAIN__PRECISION=fp16 needs a GPU; these workers run on the CPU.", "Use bf16, fp32 or auto, or run where a GPU is."
        )
    if asked == "auto":
        return "bf16" if native_bf16(device.type) else "fp32"
    return asked


def join(settings: Settings, *, alone_too: bool) -> Group:
    """Join the process group.

    Args:
        settings: device, precision, and how long a collective may take.
        alone_too: make a group even of one process, for an engine that wants one.

    Raises:
        CrashError: when the group is not the one the launcher made.
        SettingsError: when device or precision cannot be had.
    """
    place = topology.worker_place()
    device = choose_device(settings, place)
    group = Group(place, device, choose_precision(settings, device))
    if (place.world_size > 1 or alone_too) and not dist.is_initialized():
        timeout = dt.timedelta(seconds=settings.limits.stall_timeout_s + 60)
        alone: dict[str, Any] = (
            {} if place.world_size > 1 else {"store": dist.HashStore(), "rank": 0, "world_size": 1}  # type: ignore[attr-defined]
        )
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timeout, **alone)
    check_place(group, place)
    return group


def check_place(group: Group, place: WorkerPlace) -> None:
    """See that the group is the launcher's; a process that thinks itself alone would train on everything, beside the others."""
    there = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    if there != (place.rank, place.world_size) or there != (group.rank, group.world_size):
        raise CrashError(
            f"The process group has {there[1]} processes and this is number {there[0]}; "
            f"the launcher started {place.world_size} and called it {place.rank}."
        )
