"""A checkpoint's tensors where every rank holds all of them: rank 0 writes, every rank reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from job.workers.engine.base import Tensors
from job.workers.engine.files import MOMENTS, Moments, disk_errors, replacing
from job.workers.tuning import trained

WEIGHTS_EACH = 3
"""A checkpoint's size in sizes of the weights that are trained: the weights and AdamW's two moments; the best weights are a link."""


def write_weights(model: torch.nn.Module, path: Path) -> None:
    """Write the weights that training changes of the plain model, whole or not at all."""
    with replacing(path) as temporary, disk_errors(path):
        trained.save(model, temporary)


def read_weights(model: torch.nn.Module, path: Path) -> None:
    """Read weights into the plain model; every one that training changes or an error."""
    trained.load(model, path)


class WholeTensors(Tensors):
    """All trained weights and their moments by parameter name, of the plain model and its optimizer."""

    def __init__(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, *, writes: bool = True, scaler: Any = None
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._writes = writes
        self.loss_scaler = scaler

    def write_weights(self, path: Path) -> None:
        if self._writes:
            write_weights(self._model, path)

    def read_weights(self, path: Path) -> None:
        read_weights(self._model, path)

    def write_moments(self, folder: Path) -> None:
        if not self._writes:
            return
        moments: dict[str, torch.Tensor] = {}
        for name, parameter in self._model.named_parameters():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                moments[f"{name}/{key}"] = value.detach().contiguous().cpu()
        with disk_errors(folder):
            save_file(moments, str(folder / f"{MOMENTS}.safetensors"))

    def read_moments(self, folder: Path) -> None:
        with Moments(folder) as moments:
            for name, parameter in self._model.named_parameters():
                if parameter.requires_grad and (keys := moments.keys(name)):
                    # AdamW keeps its step counter on the CPU unless fused on a GPU; it follows the parameter there.
                    self._optimizer.state[parameter] = {key: moments.whole(name, key, parameter) for key in keys}

    def num_bytes(self) -> int:
        return WEIGHTS_EACH * trained.size_bytes(self._model) if self._writes else 0

    def publishable(self, weights: Path | None, scratch: Path) -> None:  # noqa: ARG002 - nothing has to be gathered
        if weights is not None and self._writes:
            read_weights(self._model, weights)
