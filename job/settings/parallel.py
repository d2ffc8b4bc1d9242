"""Settings of parallelism: engine, devices, nodes, processes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from job.settings.group import Group


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
    """Optimizer steps between two comparisons of the weights over all processes that hold them whole; a difference ends the run. 0 switches it off."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the workers; `auto` takes GPUs where there are any."""

    workers_per_node: int | None = Field(default=None, ge=1, le=256)
    """Worker processes on each node. Default: one per GPU; on CPU two (one thread each is faster than two threads in one), or one on a single core."""

    threads_per_worker: int | None = Field(default=None, ge=1)
    """Threads of each worker. Default: the node's available cores divided by its workers."""

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
