"""AdamW and its parameter groups, and the learning rate: a function of the step's number, so nothing of it is saved."""

from __future__ import annotations

import math

import torch

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


def learning_rate(settings: TrainSettings, num_steps: int, step: int) -> float:
    """Learning rate of optimizer step ``step``, counted from 0, of ``num_steps``: from zero up over the warm-up, then as scheduled."""
    warmup = settings.warmup_steps if settings.warmup_steps is not None else math.ceil(num_steps * settings.warmup_ratio)
    if step < warmup:
        return settings.learning_rate * step / warmup
    done = min(1.0, (step - warmup) / max(1, num_steps - warmup))
    shares = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}
    return settings.learning_rate * shares[settings.schedule]
