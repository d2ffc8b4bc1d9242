"""One process, or a whole copy of the model in each of several (DDP), through accelerate."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from job.settings.root import Settings
from job.workers.engine import proof
from job.workers.engine.base import Engine, Update
from job.workers.engine.group import Group
from job.workers.engine.proof import Facts
from job.workers.engine.whole import WholeTensors


class Replicas(Engine):
    """Every rank holds all weights, gradients and moments; gradients are averaged in the step's last backward pass."""

    repeatable = True

    def __init__(self, group: Group, settings: Settings) -> None:
        super().__init__(group, settings)
        self.accelerator = Accelerator(
            cpu=self.device.type == "cpu",
            mixed_precision="no" if self.precision == "fp32" else self.precision,
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)],
        )
        asked = settings.parallel.engine
        self.kind = asked if asked != "auto" else ("ddp" if self.world_size > 1 else "single")

    def prepare(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        # The parameters stay the same objects on the new device, so the optimizer's references hold.
        wrapped: torch.nn.Module = self.accelerator.prepare_model(model)
        proof.check_engine(self, self.facts(wrapped))
        return wrapped, optimizer

    def facts(self, wrapped: torch.nn.Module) -> Facts:
        trained = sum(parameter.numel() for parameter in wrapped.parameters() if parameter.requires_grad)
        elements = trained, sum(parameter.numel() for parameter in wrapped.parameters())
        backend = str(self.accelerator.distributed_type.value)
        return Facts(self.kind, *proof.place(), type(wrapped).__name__, backend, elements, elements)

    def tensors(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> WholeTensors:
        return WholeTensors(model, optimizer, writes=self.is_main, scaler=self.accelerator.scaler)

    @contextlib.contextmanager
    def accumulating(self, wrapped: torch.nn.Module, *, last: bool) -> Iterator[None]:
        with contextlib.nullcontext() if last else self.accelerator.no_sync(wrapped):
            yield

    def backward(self, wrapped: torch.nn.Module, loss: torch.Tensor) -> None:  # noqa: ARG002 - DeepSpeed's goes through the wrapper
        scaler = self.accelerator.scaler
        torch.autograd.backward(loss if scaler is None else scaler.scale(loss))

    def update(self, wrapped: torch.nn.Module, optimizer: torch.optim.Optimizer, *, usable: bool) -> Update:
        scaler = self.accelerator.scaler
        if scaler is not None:
            scaler.unscale_(optimizer)
        bound = self.settings.train.max_grad_norm or math.inf
        grad_norm = float(torch.nn.utils.clip_grad_norm_(wrapped.parameters(), bound))
        finite = math.isfinite(grad_norm)
        if scaler is not None:
            # Told of the gradients it found: it lowers its scale when they were not finite, and tries a higher one now and then.
            rescaled = not finite and scaler.get_scale() > 1
            scaler.step(optimizer) if usable and finite else None
            scaler.update()
        else:
            rescaled = False
            if usable and finite:
                optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return Update(grad_norm, rescaled)
