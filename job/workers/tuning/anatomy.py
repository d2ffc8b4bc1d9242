"""Where a model's head, layers and linear maps are, found by structure.

A transformers model is a body (``base_model_prefix``) with a head beside it, or a body alone.  Its layers are the largest list of
modules in the body; in an encoder-decoder, in the decoder.  What stands before the list in the order in which modules were registered feeds the
layers (embeddings); what stands behind it reads them (a last normalisation, a pooler).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers import MODEL_MAPPING
from transformers.pytorch_utils import Conv1D

__all__ = ["Conv1D"]
LINEAR = (torch.nn.Linear, Conv1D)
"""Maps that can have an adapter beside them; ``Conv1D`` is GPT-2's, stored the other way round."""
NEW = "new_parameters"
"""Attribute of a freshly loaded model: names of its parameters that were in no file, and are drawn at random."""
IDLE = "is_idle"
"""Attribute of a module that the task never calls.  It came with the model, is published with it, and no method trains it: it gets no gradient."""


def parameter_count(module: torch.nn.Module) -> int:
    """Parameters of a module, shared ones once; whole ones where an engine has parted them."""
    return sum(int(getattr(parameter, "ds_numel", parameter.numel())) for parameter in module.parameters())


def new_parameters(model: Any) -> tuple[str, ...]:
    """Names of the parameters that came from no file."""
    return tuple(getattr(model, NEW, ()))


def mark_idle(model: torch.nn.Module, name: str) -> None:
    """Say of a child of the model, where there is one of this name, that the task never calls it."""
    child = getattr(model, name, None)
    if isinstance(child, torch.nn.Module):
        setattr(child, IDLE, True)
        let_idle(model)


def let_idle(model: torch.nn.Module) -> None:
    """Freeze what the task never calls, whatever was said of the parameters around it."""
    for module in model.modules():
        if getattr(module, IDLE, False):
            module.requires_grad_(False)


def idle_modules(model: torch.nn.Module) -> list[str]:
    """Names of the modules that the task never calls, those within them included."""
    found = [name for name, module in model.named_modules() if getattr(module, IDLE, False)]
    return [name for name, _ in model.named_modules() if any(_within(name, each) for each in found)]


def body_name(model: Any) -> str:
    """Name of the child that is the body; empty for a body alone; where the model does not say, the largest."""
    if type(model) is MODEL_MAPPING.get(type(getattr(model, "config", None)), None):
        return ""
    prefix = getattr(model, "base_model_prefix", "")
    if prefix and isinstance(getattr(model, prefix, None), torch.nn.Module):
        return str(prefix)
    return str(max(model.named_children(), key=lambda child: parameter_count(child[1]))[0])


def is_language_model(model: Any) -> bool:
    """Whether the head gives words: then it came with the model, and is no head for a new task."""
    outputs = getattr(model, "get_output_embeddings", lambda: None)()
    return outputs is not None


def head_modules(model: Any) -> list[str]:
    """Names of the modules that are trained and kept whole whatever the method: the head of a task, and what the start model lacks."""
    body, idle = body_name(model), idle_modules(model)
    beside = [name for name, child in model.named_children() if body not in ("", name) and parameter_count(child)]
    lacking = {_child_of(model, name) for name in new_parameters(model)}
    chosen = (lacking | (set() if is_language_model(model) else set(beside))) - set(idle)
    return sorted(chosen, key=[name for name, _ in model.named_modules()].index)


def layers(model: Any) -> tuple[str, torch.nn.ModuleList]:
    """The list of the body's layers nearest the output, and its name; an empty list under an empty name where there is none."""
    stack = model.get_decoder() if getattr(model.config, "is_encoder_decoder", False) else model.get_submodule(body_name(model))
    lists = [module for module in _outermost(stack) if parameter_count(module)]
    if not lists:
        return "", torch.nn.ModuleList()
    found = max(lists, key=parameter_count)
    return next(name for name, module in model.named_modules() if module is found), found


def behind_layers(model: Any) -> Iterator[torch.nn.Module]:
    """What the body has behind its list of layers: modules beside it and above it that were registered later, without embeddings."""
    path = layers(model)[0].split(".")
    for depth in range(1 if body_name(model) else 0, len(path)):
        siblings = list(model.get_submodule(".".join(path[:depth])).named_children())
        at = [name for name, _ in siblings].index(path[depth])
        yield from (module for name, module in siblings[at + 1 :] if not _embeds(name, module))


def linear_modules(model: Any) -> list[str]:
    """Names of the linear maps that may get an adapter: all but those of the head, of the output words, and of what is never called."""
    apart, outputs = head_modules(model) + idle_modules(model), getattr(model, "get_output_embeddings", lambda: None)()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, LINEAR) and module is not outputs and not any(_within(name, each) for each in apart)
    ]


def endings(names: list[str]) -> list[str]:
    """The last parts of names, each once, in the order of the names."""
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))


def _child_of(model: Any, parameter: str) -> str:
    """The module that holds a parameter, or, within the head, the head's own child: that is kept whole."""
    first = parameter.partition(".")[0]
    return parameter.rpartition(".")[0] if body_name(model) in ("", first) else first


def _outermost(module: torch.nn.Module) -> Iterator[torch.nn.ModuleList]:
    for child in module.children():
        if isinstance(child, torch.nn.ModuleList):
            yield child
        else:
            yield from _outermost(child)


def _within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def _embeds(name: str, module: torch.nn.Module) -> bool:
    """Whether a module belongs to the embeddings; BART registers their normalisation behind the layers, by such a name."""
    return "embed" in name or any(isinstance(part, torch.nn.Embedding) for part in module.modules())
