"""Which modules get an adapter and which are kept whole, from names that a person writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from job.errors import SettingsError
from job.settings.tuning import ALL_LINEAR
from job.workers.tuning import anatomy

_TARGETS, _WHOLE = "JOB_TUNING__LORA_TARGETS", "JOB_TUNING__LORA_MODULES_TO_SAVE"
_SHOWN = 24


def adapted_modules(model: Any, wanted: Sequence[str]) -> list[str]:
    """Full names of the modules that get an adapter.

    Args:
        model: the model with its head.
        wanted: last parts of names, or ``all-linear`` alone.

    Raises:
        SettingsError: when a name means nothing in this model, or a module that cannot have an adapter.
    """
    linear = anatomy.linear_modules(model)
    if list(wanted) == [ALL_LINEAR]:
        return linear
    hint = f"Names that can be meant in this model: {_some(anatomy.endings(linear))}; or {ALL_LINEAR}."
    possible = {*linear, *(name for name, module in model.named_modules() if isinstance(module, torch.nn.Embedding))}
    found: list[str] = []
    for number, name in enumerate(wanted, 1):
        meant = [each for each, _ in model.named_modules() if _means(name, each)]
        if not meant:
            raise SettingsError(
                f"Name {number} of {len(wanted)} in {_TARGETS} matches no module of this {type(model).__name__}.", hint
            )
        if not (fitting := [each for each in meant if each in possible]):
            what = type(model.get_submodule(meant[0])).__name__
            raise SettingsError(
                f"Name {number} of {len(wanted)} in {_TARGETS} matches modules that cannot have an adapter ({meant[0]}, {what}): "
                "only linear layers and embeddings can, outside of the head, which is trained whole.",
                hint,
            )
        found += fitting
    return list(dict.fromkeys(found))


def whole_modules(model: Any, wanted: Sequence[str]) -> list[str]:
    """Full names of the modules that are trained and saved whole: the head, what the start model lacks, and those asked for.

    Raises:
        SettingsError: when a name means nothing in this model.
    """
    found = anatomy.head_modules(model)
    idle = set(anatomy.idle_modules(model))
    named = {name: each for name, each in model.named_modules() if name not in {"", *idle} and anatomy.parameter_count(each)}
    for number, name in enumerate(wanted, 1):
        meant = [each for each in named if _means(name, each)]
        if not meant:
            raise SettingsError(
                f"Name {number} of {len(wanted)} in {_WHOLE} matches no module with weights in this {type(model).__name__}.",
                f"Names that can be meant: {_some(anatomy.endings(list(named)))}.",
            )
        found += meant
    return list(dict.fromkeys(found))


def short_names(model: Any, chosen: Sequence[str]) -> list[str]:
    """The last parts of the chosen modules' names where these mean no other module, as one writes them; else the full names."""
    short = anatomy.endings(list(chosen))
    others = [name for name, _ in model.named_modules() if name not in set(chosen)]
    if any(_means(ending, other) for ending in short for other in others):
        return list(chosen)
    return short


def _means(name: str, module: str) -> bool:
    """Whether a name means a module: all of its name, or its last parts."""
    return module == name or module.endswith(f".{name}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
