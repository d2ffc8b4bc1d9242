"""The distributed engine: one process or replicas, precision, device, collectives.  The only importer of accelerate.

The engine that was asked for is the engine that runs: `Engine.wrap` checks what it got, because the usual stack falls back
in silence (``docs/design.md``, "Engines").
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch.nn.parallel import DistributedDataParallel

from job.cluster import topology
from job.errors import CrashError, SettingsError
from job.settings.root import Settings


def native_bf16(device: str) -> bool:
    """Whether the device computes bfloat16 itself; where it is emulated it is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


class Engine:
    """A worker's hold on the group.

    Attributes:
        rank, world_size: place in the group.
        is_main: whether this is rank 0, which writes what is written once.
        is_local_main: whether this is the first worker of its node.
        device: where batches go.
        precision: ``fp32`` or ``bf16``, resolved.
    """

    def __init__(self, accelerator: Accelerator, settings: Settings) -> None:
        self.accelerator = accelerator
        self.rank: int = accelerator.process_index
        self.world_size: int = accelerator.num_processes
        self.is_main: bool = accelerator.is_main_process
        self.is_local_main: bool = accelerator.is_local_main_process
        self.device: torch.device = accelerator.device
        self.precision = "bf16" if accelerator.mixed_precision == "bf16" else "fp32"
        self._asked = settings.parallel.engine

    @classmethod
    def open(cls, settings: Settings) -> Engine:
        """Join the process group.

        Raises:
            CrashError: when the group is not the one the launcher made.
            SettingsError: when a GPU was asked for and torch cannot use one.
        """
        if settings.parallel.device == "cuda" and not torch.cuda.is_available():
            raise SettingsError(
                f"JOB_PARALLEL__DEVICE=cuda, and this torch ({torch.__version__}) cannot use a GPU here.",
                "Use an image whose torch is built for the machine's GPU driver, or JOB_PARALLEL__DEVICE=cpu.",
            )
        on_cpu = settings.parallel.device == "cpu" or not torch.cuda.is_available()
        device = "cpu" if on_cpu else "cuda"
        precision = settings.train.precision
        bf16 = precision == "bf16" or (precision == "auto" and native_bf16(device))
        place = topology.worker_place()
        handlers: list[Any] = []
        if place.world_size > 1:
            timeout = dt.timedelta(seconds=settings.limits.stall_timeout_s + 60)
            handlers = [
                InitProcessGroupKwargs(backend="gloo" if on_cpu else "nccl", timeout=timeout),
                DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True),
            ]
        accelerator = Accelerator(cpu=on_cpu, mixed_precision="bf16" if bf16 else "no", kwargs_handlers=handlers)
        engine = cls(accelerator, settings)
        if (engine.rank, engine.world_size) != (place.rank, place.world_size):
            raise CrashError(
                f"The process group has {engine.world_size} processes and this is number {engine.rank}; "
                f"the launcher started {place.world_size} and called it {place.rank}."
            )
        return engine

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        """Make the model the engine's, on its device, and check that it is.

        Raises:
            CrashError: when the engine that was asked for is not there.
        """
        wrapped: torch.nn.Module = self.accelerator.prepare_model(model)
        replicated = isinstance(wrapped, DistributedDataParallel)
        wanted = self.world_size > 1 if self._asked == "auto" else self._asked == "ddp"
        if replicated != wanted or (wanted and self.world_size < 2):
            raise CrashError(
                f"JOB_PARALLEL__ENGINE={self._asked} was asked for; the model became {type(wrapped).__name__} on {self.world_size} process(es)."
            )
        return wrapped

    def describe(self, wrapped: torch.nn.Module) -> dict[str, Any]:
        """What runs, for the records."""
        return {
            "kind": "ddp" if isinstance(wrapped, DistributedDataParallel) else "single",
            "wrapped_class": type(wrapped).__name__,
            "world_size": self.world_size,
            "device": str(self.device),
            "precision": self.precision,
            "threads_per_worker": torch.get_num_threads(),
        }

    @contextlib.contextmanager
    def accumulating(self, wrapped: torch.nn.Module, *, last: bool) -> Iterator[None]:
        """Around a micro-batch's forward and backward: gradients are exchanged with the last one of a step only."""
        with contextlib.nullcontext() if last else self.accelerator.no_sync(wrapped):
            yield

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
