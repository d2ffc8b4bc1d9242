"""DeepSpeed's ZeRO: optimizer state, gradients and weights spread over the processes.

DeepSpeed is spoken to directly: on a CPU accelerate either forgets it (``cpu=True``) or makes every process believe it is the
only one (without).  The price of importing it, several seconds, is paid in `Zero.prepare`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from job.cluster import topology
from job.settings import deepspeed as user_file
from job.settings.root import Settings
from job.workers.engine import heap, proof, zero_config
from job.workers.engine.base import Engine, Update, num_elements
from job.workers.engine.group import Group
from job.workers.engine.proof import Facts
from job.workers.engine.spread import SpreadTensors, held

_SHARED_MEMORY = "deepspeed_shm_comm"


class Zero(Engine):
    """ZeRO of one stage."""

    def __init__(self, group: Group, settings: Settings, stage: int) -> None:
        super().__init__(group, settings)
        self.stage = stage
        self.kind = f"zero{stage}"
        self.lockstep = stage == 3
        if self.device.type == "cpu":
            heap.give_back_large()

    def prepare(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[torch.nn.Module, Any]:
        path = self.settings.parallel.deepspeed_config
        user = user_file.read(Path(path)) if path else {}
        config = zero_config.build(self.settings, self.stage, self.precision, self.world_size, user)
        wrapped, zero = self._initialize(model, optimizer, config)
        proof.check_engine(self, self.facts(wrapped))
        return wrapped, zero

    def tensors(self, model: torch.nn.Module, optimizer: Any) -> SpreadTensors:
        return SpreadTensors(model, optimizer, self)

    @contextlib.contextmanager
    def accumulating(self, wrapped: Any, *, last: bool) -> Iterator[None]:
        wrapped.set_gradient_accumulation_boundary(last)
        yield

    def backward(self, wrapped: Any, loss: torch.Tensor) -> None:
        wrapped.backward(loss, scale_wrt_gas=False)

    def update(self, wrapped: Any, optimizer: Any, *, usable: bool) -> Update:
        scale = optimizer.loss_scale if self.precision == "fp16" else 1.0
        with contextlib.nullcontext() if usable else _gradients_discarded(optimizer):
            wrapped.step()
        grad_norm = float(wrapped.get_global_grad_norm())
        return Update(grad_norm, rescaled=usable and not wrapped.was_step_applied() and scale > 1)

    def _initialize(self, model: torch.nn.Module, optimizer: Any, config: dict[str, Any]) -> tuple[torch.nn.Module, Any]:
        topology.name_local_rank(self.local_rank)
        import deepspeed

        deepspeed.utils.logger.setLevel(logging.WARNING)
        # A collective over shared memory that is compiled on the spot, where there is a compiler; gloo does without.
        deepspeed.ops.__compatible_ops__[_SHARED_MEMORY] = False
        wrapped, zero, _, _ = deepspeed.initialize(model=model, optimizer=optimizer, config=config, dist_init_required=False)
        return wrapped, zero

    def facts(self, wrapped: Any) -> Facts:
        trained = sum(num_elements(parameter) for parameter in wrapped.parameters() if parameter.requires_grad)
        elements = trained, sum(num_elements(parameter) for parameter in wrapped.parameters())
        stage = int(wrapped.zero_optimization_stage()) if hasattr(wrapped, "zero_optimization_stage") else 0
        mine = held(wrapped.module, wrapped.optimizer, self) if stage else elements
        return Facts(self.kind, *proof.place(), type(wrapped).__name__, f"ZeRO-{stage}", elements, mine)


@contextlib.contextmanager
def _gradients_discarded(zero: Any) -> Iterator[None]:
    """Within, DeepSpeed takes every gradient for not finite, and cleans up after itself as it does then.

    For a step whose loss is not finite though its gradients are.  DeepSpeed has no call to drop gradients that reaches all its
    buffers; its own path for an invalid norm does.
    """
    if hasattr(zero, "fp32_groups_gradients_flat"):  # the optimizer of bf16 with stage 1 asks nobody for the norm
        for gradients in zero.fp32_groups_gradients_flat:
            gradients.fill_(float("nan"))
        yield
        return
    name = "_get_norm_groups" if hasattr(zero, "_get_norm_groups") else "scaled_global_norm"
    invalid = torch.tensor(-1.0)
    setattr(zero, name, lambda *_, **__: [invalid] if name == "_get_norm_groups" else invalid)
    try:
        yield
    finally:
        delattr(zero, name)
