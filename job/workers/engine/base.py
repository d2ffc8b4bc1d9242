"""What every engine does for the training loop, for evaluation and for checkpoints."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from job.settings.deepspeed import DEFAULT_STAGE
from job.settings.root import Settings
from job.workers.engine import group as groups
from job.workers.engine import proof
from job.workers.engine.group import Group
from job.workers.engine.proof import Facts


@dataclass(frozen=True)
class Update:
    """What became of a step's gradients.

    Attributes:
        grad_norm: before clipping; infinite or not a number where the gradients were.
        rescaled: no update was made because the loss scale was too high for float16; it is lower now, and nothing is wrong.
    """

    grad_norm: float
    rescaled: bool = False


class Tensors(ABC):
    """A checkpoint's tensors, as one rank holds them.  All methods are called on every rank.

    Attributes:
        loss_scaler: what scales float16's losses (`job.workers.engine.loss_scale`); None where nothing does.
    """

    loss_scaler: Any = None

    @abstractmethod
    def write_weights(self, path: Path) -> None:
        """Write all weights to one safetensors file, on rank 0; whole or not at all."""

    @abstractmethod
    def read_weights(self, path: Path) -> None:
        """Take over all weights; every one of them or an error."""

    @abstractmethod
    def write_moments(self, folder: Path) -> None:
        """Write the optimizer's state that this rank is to write."""

    @abstractmethod
    def read_moments(self, folder: Path) -> None:
        """Take over the optimizer's state from all files that any engine wrote, on any number of processes."""

    @abstractmethod
    def num_bytes(self) -> int:
        """What this node's ranks will write for one checkpoint."""

    @abstractmethod
    def publishable(self, weights: Path | None, scratch: Path) -> Path | None:
        """The trained weights to publish: those of a file, or the current ones when None.

        Returns None where they are in rank 0's model itself; otherwise the file that they lie in, which may be ``scratch``.
        """


class Engine(Group, ABC):
    """A group that trains.

    Attributes:
        lockstep: whether a forward pass is a collective, so that every rank has to make as many.
        repeatable: whether a step that failed before its last micro-batch can be taken again.
    """

    lockstep = False
    repeatable = False

    def __init__(self, group: Group, settings: Settings) -> None:
        self.__dict__.update(vars(group))
        self.settings = settings

    @classmethod
    def open(cls, settings: Settings) -> Engine:
        """Join the process group with the engine that the settings ask for.

        Raises:
            CrashError: when the group is not the one the launcher made.
            SettingsError: when device or precision cannot be had.
        """
        if settings.parallel.engine == "deepspeed":
            from job.workers.engine.zero import Zero  # leads to deepspeed, whose import takes seconds

            return Zero(groups.join(settings, alone_too=True), settings, settings.parallel.zero_stage or DEFAULT_STAGE)
        from job.workers.engine.replicas import Replicas

        return Replicas(groups.join(settings, alone_too=False), settings)

    @abstractmethod
    def prepare(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[torch.nn.Module, Any]:
        """Make model and optimizer the engine's; what the loop calls and what has ``param_groups``.

        Raises:
            CrashError: when the engine that was asked for is not there.
        """

    @abstractmethod
    def facts(self, wrapped: torch.nn.Module) -> Facts:
        """What this rank really holds."""

    @abstractmethod
    def tensors(self, model: torch.nn.Module, optimizer: Any) -> Tensors:
        """The checkpoint's view of what `prepare` made; ``model`` is the plain one."""

    @abstractmethod
    def accumulating(self, wrapped: torch.nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Around a micro-batch's forward and backward: gradients count as a step's with the last one only."""

    @abstractmethod
    def backward(self, wrapped: torch.nn.Module, loss: torch.Tensor) -> None:
        """Backward pass of a micro-batch, its loss a share of the step's; gradients are averaged over the ranks."""

    @abstractmethod
    def update(self, wrapped: torch.nn.Module, optimizer: Any, *, usable: bool) -> Update:
        """Clip and take one optimizer step, unless the gradients are not finite or the loss was not ``usable``; then forget them."""

    def check_first_step(self, wrapped: torch.nn.Module, mine: Sequence[int], step: Sequence[int]) -> None:
        """After the first step: the engine is still there, and the ranks trained on different examples.

        Raises:
            CrashError: on every rank.
        """
        proof.check_engine(self, self.facts(wrapped))
        proof.check_examples(self, mine, step)

    def check_weights(self, wrapped: torch.nn.Module, frozen: str) -> None:
        """See that all ranks hold the same weights, where each holds all of them, and that frozen ones are what they were.

        Args:
            wrapped: what `prepare` made.
            frozen: `proof.frozen_fingerprint` of its parameters before training.

        Raises:
            CrashError: on every rank, naming those that differ.
        """
        if self.world_size > 1 and not self.lockstep:
            proof.check_replicas(self, wrapped.parameters())
        proof.check_frozen(self, frozen, wrapped.parameters())


def num_elements(parameter: torch.Tensor) -> int:
    """Elements of a parameter, also of one that is spread over the processes."""
    return int(parameter.ds_numel if hasattr(parameter, "ds_numel") else parameter.numel())
