"""Training the head alone, or the head and the last layers: everything else stays as it came."""

from __future__ import annotations

from typing import Any

from job.errors import SettingsError
from job.workers.tuning import anatomy

_SETTING = "JOB_TUNING__TRAIN_LAST_LAYERS"


def freeze(model: Any, last_layers: int) -> None:
    """Leave only the head, the last ``last_layers`` layers and what stands behind them trainable.

    Embeddings stay frozen, also where the head of a language model shares their weights: that head is no new one.

    Raises:
        SettingsError: when the model has fewer layers, or nothing would be trained.
    """
    name, stack = anatomy.layers(model)
    if last_layers > len(stack):
        raise SettingsError(
            f"{_SETTING} asks for {last_layers} layers, and {f'{name} has {len(stack)}' if name else 'no list of layers was found'}.",
            f"Set {_SETTING} to {len(stack)} or less, or JOB_TUNING__METHOD=full to train all weights.",
        )
    model.requires_grad_(False)
    trained = [model.get_submodule(name) for name in anatomy.head_modules(model)]
    if last_layers:
        trained += [*list(stack)[-last_layers:], *anatomy.behind_layers(model)]
    for module in trained:
        module.requires_grad_(True)
    anatomy.let_idle(model)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise SettingsError(
            f"JOB_TUNING__METHOD=freeze leaves nothing to train: this {type(model).__name__} has no head of its own.",
            f"Set {_SETTING} to the number of layers to train, or use JOB_TUNING__METHOD=lora.",
        )
