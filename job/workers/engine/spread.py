"""A checkpoint's tensors where DeepSpeed spreads them over the ranks: each rank writes its own slices, under the parameters' names.

DeepSpeed keeps flat fp32 partitions of whole parameter groups, cut differently for every stage and number of ranks.  Here they
are seen as slices of named parameters, so what any engine wrote on any number of ranks can be taken over by any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from job.workers.engine.base import Tensors
from job.workers.engine.files import MOMENTS, STARTS, Layout, Moments, disk_errors, replacing, write_stream
from job.workers.engine.group import Group

MOMENT_KEYS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Slice:
    """What this rank keeps of one parameter: ``numel`` elements from ``start`` on, at ``offset`` of the flat partition ``flat``."""

    name: str
    flat: torch.Tensor
    offset: int
    start: int
    numel: int

    def of(self, partition: torch.Tensor) -> torch.Tensor:
        """The slice as a view into a partition shaped like ``flat``."""
        return partition.narrow(0, self.offset, self.numel)


def slices(model: Any, zero: Any, group: Group) -> Iterator[Slice]:
    """Every slice of a trainable parameter that this rank keeps.

    Args:
        model: the plain model, prepared by DeepSpeed.
        zero: DeepSpeed's optimizer.
        group: the ranks.
    """
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if hasattr(parameter, "ds_id"):  # stage 3: equal parts of every parameter, the last ones padded
            index, offset, part = zero.grad_position[zero.get_param_id(parameter)]
            start = group.rank * part
            numel = min(part, parameter.ds_numel - start)
            if numel > 0:
                yield Slice(name, zero.fp32_partitioned_groups_flat[index], offset, start, numel)
            continue
        mapping = parameter._hp_mapping  # noqa: SLF001 - stages 1 and 2: equal parts of every group
        if mapping is not None:
            flat = _partitions(zero)[mapping.param_group_index]
            at = mapping.hp_fragment_address
            yield Slice(name, flat, at.start, mapping.lp_fragment_address.start, at.numel)


def _partitions(zero: Any) -> list[torch.Tensor]:
    """Flat fp32 partitions by parameter group; the optimizer of bf16 with stage 1 calls them otherwise."""
    found: list[torch.Tensor] = getattr(zero, "fp32_groups_flat_partition", None) or zero.single_partition_of_fp32_groups
    return found


def held(model: torch.nn.Module, zero: Any, group: Group) -> tuple[int, int]:
    """Elements of the optimizer's partitions, and of all weights, frozen ones included, that this rank keeps."""
    flats = {id(each.flat): each.flat.numel() for each in slices(model, zero, group)}
    weights = sum(
        parameter.ds_tensor.numel() if hasattr(parameter, "ds_tensor") else parameter.numel() for parameter in model.parameters()
    )
    return sum(flats.values()), weights


class SpreadTensors(Tensors):
    """Trained weights gathered parameter by parameter; the optimizer's state as each rank's slices.

    The names are those of `job.workers.tuning.trained`, so a checkpoint is the same for every engine.
    """

    def __init__(self, model: torch.nn.Module, zero: Any, group: Group) -> None:
        self._model = model
        self._zero = zero
        self._group = group
        self.loss_scaler = getattr(zero, "loss_scaler", None)  # the optimizer of bf16 with stage 1 has none

    def write_weights(self, path: Path) -> None:
        layouts, tensors = _layouts(self._model), _gathered(self._model)
        if not self._group.is_main:
            for _ in tensors:
                pass
            return
        with replacing(path) as temporary, disk_errors(path):
            write_stream(temporary, layouts, tensors)

    def read_weights(self, path: Path) -> None:
        # The plain model read them before DeepSpeed took it over; what is left is what a cast to 16 bits cut off.
        if self._group.precision == "fp32":
            return
        with safe_open(path, framework="pt") as file:
            for each in slices(self._model, self._zero, self._group):
                whole = file.get_tensor(each.name).reshape(-1)
                each.of(each.flat.data).copy_(whole[each.start : each.start + each.numel])

    def write_moments(self, folder: Path) -> None:
        moments: dict[str, torch.Tensor] = {}
        starts: dict[str, int] = {}
        for each in slices(self._model, self._zero, self._group):
            for key, value in self._state.get(each.flat, {}).items():
                name = f"{each.name}/{key}"
                # Copies: a slice is a view, and views of one partition may not lie in one file.
                moments[name] = each.of(value).detach().cpu().clone() if key in MOMENT_KEYS else value.detach().cpu().clone()
                starts[name] = each.start if key in MOMENT_KEYS else 0
        number, count = self._group.rank + 1, self._group.world_size
        path = folder / f"{MOMENTS}-{number:05d}-of-{count:05d}.safetensors"
        with disk_errors(path):
            save_file(moments, str(path), metadata={STARTS: json.dumps(starts)})

    def read_moments(self, folder: Path) -> None:
        with Moments(folder) as moments:
            for each in slices(self._model, self._zero, self._group):
                if not moments.keys(each.name):
                    continue
                state = self._state[each.flat]
                if not state:
                    step = moments.step(each.name).to(each.flat.device)
                    state |= {"step": step, **{key: torch.zeros_like(each.flat) for key in MOMENT_KEYS}}
                for key in MOMENT_KEYS:
                    each.of(state[key]).copy_(moments.slice(each.name, key, each.start, each.numel))

    def num_bytes(self) -> int:
        mine = 4 * len(MOMENT_KEYS) * sum(each.numel for each in slices(self._model, self._zero, self._group))
        return mine + (sum(layout.num_bytes for layout in _layouts(self._model)) if self._group.is_main else 0)

    def publishable(self, weights: Path | None, scratch: Path) -> Path | None:
        if weights is None:
            self.write_weights(scratch)
        return weights or scratch

    @property
    def _state(self) -> Any:
        return self._zero.optimizer.state


def _layouts(model: torch.nn.Module) -> list[Layout]:
    parameters = [
        Layout(name, torch.float32, tuple(getattr(parameter, "ds_shape", parameter.shape))) for name, parameter in _trained(model)
    ]
    return parameters + [Layout(name, buffer.dtype, tuple(buffer.shape)) for name, buffer in _saved_buffers(model)]


def _gathered(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Every trained parameter in fp32 and every buffer, one at a time, on the CPU of every rank."""
    from deepspeed.utils import safe_get_full_fp32_param

    for _, parameter in _trained(model):
        yield safe_get_full_fp32_param(parameter).detach().float().cpu()
    for _, buffer in _saved_buffers(model):
        yield buffer.detach().cpu()


def _trained(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def _saved_buffers(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Buffers that are saved with a model."""
    saved = model.state_dict().keys()
    return ((name, buffer) for name, buffer in model.named_buffers() if name in saved)
