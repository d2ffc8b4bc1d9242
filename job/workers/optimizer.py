"""AdamW, its parameter groups and the learning-rate schedule."""

from __future__ import annotations

import math

import torch
from transformers import get_scheduler

from job.settings.train import TrainSettings

_NORMS = ("layernorm", "layer_norm", "rmsnorm", "ln_", "norm.")


def make_optimizer(model: torch.nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW over the trainable parameters; biases and normalisation weights are not decayed."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    decayed = [parameter for name, parameter in named if _decays(name)]
    rest = [parameter for name, parameter in named if not _decays(name)]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        fused=True,
    )


def _decays(name: str) -> bool:
    lowered = name.lower()
    return not lowered.endswith("bias") and not any(norm in lowered for norm in _NORMS)


def make_schedule(optimizer: torch.optim.Optimizer, settings: TrainSettings, num_steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The course of the learning rate over ``num_steps`` optimizer steps."""
    warmup = settings.warmup_steps if settings.warmup_steps is not None else math.ceil(num_steps * settings.warmup_ratio)
    schedule: torch.optim.lr_scheduler.LRScheduler = get_scheduler(
        settings.schedule, optimizer, num_warmup_steps=warmup, num_training_steps=num_steps
    )
    return schedule
