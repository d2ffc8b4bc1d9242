"""Settings of parallelism: engine, devices, nodes, processes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from job.settings.group import Group, NonEmpty


class ParallelSettings(Group):
    """Parallelism: engine, devices, processes."""

    engine: Literal["auto", "single", "ddp", "deepspeed"] = "auto"
    """`single`: one process; `ddp`: a replica per process; `deepspeed`: ZeRO, which spreads optimizer, gradients and weights over the processes; `auto`: the simplest of these that fits into memory. The engine asked for is the one used, or the run fails."""

    zero_stage: int | None = Field(default=None, ge=1, le=3)
    """What DeepSpeed spreads over the processes: 1 the optimizer's state, 2 also gradients, 3 also weights. Default with `deepspeed`: 2."""

    offload_optimizer: bool = False
    """Keep DeepSpeed's optimizer state and its update in the host's memory."""

    offload_parameters: bool = False
    """Keep DeepSpeed's weights in the host's memory between uses (ZeRO stage 3)."""

    deepspeed_config: str | None = None
    """Path of a DeepSpeed JSON file with tuning of your own, such as bucket sizes. What the job's settings decide (batch sizes, precision, clipping, optimizer, schedule, stage) may be left out or `auto` there, not contradicted."""

    replica_check_steps: int = Field(default=100, ge=0)
    """Optimizer steps between two comparisons of the weights over all processes that hold them whole, beside one before every checkpoint; a difference ends the run. 0 switches both off."""

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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = {
            "ZERO_STAGE": self.zero_stage is not None,
            "OFFLOAD_OPTIMIZER": self.offload_optimizer,
            "OFFLOAD_PARAMETERS": self.offload_parameters,
            "DEEPSPEED_CONFIG": self.deepspeed_config is not None,
        }
        named = [f"JOB_PARALLEL__{name}" for name, is_given in given.items() if is_given]
        if named and self.engine != "deepspeed":
            raise ValueError(f"{' and '.join(named)} can only be given with JOB_PARALLEL__ENGINE=deepspeed")
        if self.offload_parameters and self.zero_stage != 3:
            raise ValueError("JOB_PARALLEL__OFFLOAD_PARAMETERS needs JOB_PARALLEL__ZERO_STAGE=3")
        return self
