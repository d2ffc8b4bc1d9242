"""The tensors of a model that training changes: what a checkpoint has to hold.

Of a model that is trained whole that is all of it.  Of one that is frozen in part it is the rest: the frozen part comes from the
start model, whose bytes a checkpoint shares with its run (`job.stages.prepare`).
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, load_model, save_file


def is_partial(model: torch.nn.Module) -> bool:
    """Whether some of the model's weights are frozen."""
    return not all(parameter.requires_grad for parameter in model.parameters())


def size_bytes(model: torch.nn.Module) -> int:
    """Bytes of what `save` writes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(model).values())


def save(model: torch.nn.Module, path: Path) -> None:
    """Write what is trained, by the names that every engine gives it: of shared weights the first one's."""
    save_file({name: tensor.detach().contiguous().cpu() for name, tensor in _tensors(model).items()}, path)


def load(model: torch.nn.Module, path: Path) -> None:
    """Read what `save` wrote into a model of the same kind.

    Raises:
        RuntimeError: when the file holds other tensors than the model trains.
    """
    if not is_partial(model):
        load_model(model, str(path), strict=True)
        return
    there, here = load_file(str(path)), _tensors(model)
    if differing := sorted(there.keys() ^ here.keys()):
        raise RuntimeError(f"The file {path.name} does not hold what this model trains: {', '.join(differing[:6])}.")
    with torch.no_grad():
        for name, tensor in here.items():
            tensor.copy_(there[name])


def _tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Trainable parameters, shared ones once, and the buffers that belong to the state."""
    lasting = model.state_dict(keep_vars=True).keys()
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in lasting}
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad} | buffers
