"""Settings of parallelism: engine, devices, nodes, processes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from job.settings.group import Group, NonEmpty


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

    num_nodes: int | None = Field(default=None, ge=1, le=4096)
    """Number of nodes, each with a node process (`python -m job run`) of its own. Default: what the scheduler says (Slurm, `PET_NNODES`), else 1."""

    node_rank: int | None = Field(default=None, ge=0, le=4095)
    """Which of the nodes this is, from 0, the main node. Default: what the scheduler says (Slurm, Kubernetes' completion index, `PET_NODE_RANK`)."""

    main_address: NonEmpty | None = None
    """Name or address of the main node. Default: the first of Slurm's nodes, the first pod of `JOB_PARALLEL__HEADLESS_SERVICE`, or `PET_MASTER_ADDR`."""

    main_port: int | None = Field(default=None, ge=1024, le=65535)
    """Port of the main node where the node processes meet. Default: `PET_MASTER_PORT`, else one between 20000 and 32767 that follows from the run's name and the scheduler's job id."""

    headless_service: NonEmpty | None = None
    """Kubernetes: the headless service of an Indexed Job or JobSet. The main node is then the pod with index 0 in it."""

    rendezvous_timeout_s: float = Field(default=900.0, gt=0)
    """Seconds that the nodes wait for each other at the start before the run ends with code 69."""

    node_timeout_s: float = Field(default=60.0, ge=3)
    """Seconds of silence after which another node counts as lost. A node whose process ends is noticed at once."""
