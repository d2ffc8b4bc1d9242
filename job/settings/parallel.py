"""Settings of parallelism: engine, devices, nodes, processes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from job.settings.group import Group


class ParallelSettings(Group):
    """Parallelism: engine, devices, processes."""

    engine: Literal["auto", "single", "ddp"] = "auto"
    """`single`: one process; `ddp`: a replica per process; `auto`: `ddp` with more than one worker. The engine asked for is the one used, or the run fails."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the workers; `auto` takes GPUs where there are any."""

    workers_per_node: int | None = Field(default=None, ge=1, le=256)
    """Worker processes on each node. Default: one per GPU; on CPU two (one thread each is faster than two threads in one), or one on a single core."""

    threads_per_worker: int | None = Field(default=None, ge=1)
    """Threads of each worker. Default: the node's available cores divided by its workers."""
