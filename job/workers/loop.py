"""The training loop: cross the step boundary (evaluate, save, stop), then take one optimizer step.

The loss of a step is the sum of weight times loss over all its examples divided by the sum of their weights, over all ranks and
micro-batches: the same global batch gives the same update on any number of processes and micro-batches.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from job.errors import HopelessError
from job.settings.root import Settings
from job.workers.boundary import Boundary
from job.workers.engine import Engine
from job.workers.engine.proof import frozen_fingerprint
from job.workers.feed import Feed, Step
from job.workers.memory import Memory
from job.workers.state import TrainState, Window
from job.workers.tasks.base import Batch, Task

logger = logging.getLogger(__name__)


@dataclass
class Parts:
    """What the loop turns over."""

    wrapped: torch.nn.Module
    optimizer: torch.optim.Optimizer
    learning_rate: Callable[[int], float]
    """Of the step with this number."""
    task: Task
    feed: Feed


@dataclass(frozen=True)
class StepResult:
    """One optimizer step over all ranks: summed weighted loss, summed weight, gradient norm before clipping."""

    loss_sum: float
    weight: float
    grad_norm: float
    rescaled: bool = False
    """No update, because float16's loss scale was too high; it is lower now."""

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss_sum) and math.isfinite(self.grad_norm)


class Loop:
    """Trains from ``state`` on: until the last step, early stopping, or a stop request."""

    def __init__(self, engine: Engine, settings: Settings, parts: Parts, state: TrainState) -> None:
        self.engine = engine
        self.settings = settings
        self.parts = parts
        self.state = state
        self.memory = Memory(engine, parts.feed, collective=parts.task.collective)
        self._frozen = frozen_fingerprint(parts.wrapped.parameters())

    def run(self, num_steps: int, boundary: Boundary, record: Callable[[dict[str, Any]], None]) -> None:
        """Train to the end.

        Raises:
            StopRequested: after a stop request; everything trained is in a finished checkpoint.
            HopelessError: when loss or gradients are not finite more often than allowed.
        """
        state = self.state
        stream = self.parts.feed.stream(state.step, num_steps, self.settings.train.data_workers)
        proven = False
        while state.step < num_steps:
            boundary.cross(state)
            if state.done:
                break
            started = time.perf_counter()
            step = next(stream)
            self._account(step, self.take_step(step), started)
            self._check_engine(step, proven=proven)
            proven = True
            if state.step % self.settings.train.log_every_steps == 0:
                record(self._flush_window())
        if state.window.examples:
            record(self._flush_window())
        boundary.finish(state)

    def take_step(self, step: Step) -> StepResult:
        """Forward and backward over the step's micro-batches, then one update unless something is not finite.

        Where a micro-batch does not fit into memory, the step is cut smaller and taken again from the state before it.
        """
        engine, parts = self.engine, self.parts
        while (passed := self._passes(step)) is None:
            self.memory.forget(parts.optimizer)
            step = self.memory.smaller(step.number)
        local_loss, weight = passed
        (loss_sum,) = engine.sum([local_loss])
        for group in parts.optimizer.param_groups:
            group["lr"] = parts.learning_rate(step.number)
        # Loss and norm are over all ranks, so every rank decides the same.
        update = engine.update(parts.wrapped, parts.optimizer, usable=math.isfinite(loss_sum))
        return StepResult(loss_sum, weight, update.grad_norm, update.rescaled)

    def _passes(self, step: Step) -> tuple[float, float] | None:
        """Forward and backward over all micro-batches: this rank's summed loss, all ranks' weight; None when some rank was short of memory."""
        engine, parts, memory = self.engine, self.parts, self.memory
        engine.seed(self.settings.run.seed, step.number)
        batches: Sequence[Batch] = step.batches
        with memory.watched(max(len(batch.weights) for batch in batches)):
            batches = parts.task.foresee(parts.wrapped, step.batches, engine)
        if memory.short and memory.given_up():
            return None
        if batches is not step.batches:
            engine.seed(self.settings.run.seed, step.number)
        (weight,) = engine.sum([float(sum(batch.weights.sum() for batch in batches))])
        local_loss = torch.zeros((), dtype=torch.float64, device=engine.device)
        *first, last = batches
        for batch in first:
            with memory.watched(len(batch.weights)):
                local_loss += self.pass_over(batch, weight, last=False)
            if memory.short:
                break
        if first and memory.given_up():
            return None
        with memory.watched(len(last.weights), together=True):
            local_loss += self.pass_over(last, weight, last=True)
        return None if memory.short and memory.given_up() else (float(local_loss), weight)

    def pass_over(self, batch: Batch, weight: float, *, last: bool) -> torch.Tensor:
        """Forward and backward over one micro-batch; its summed loss."""
        engine, parts = self.engine, self.parts
        with engine.accumulating(parts.wrapped, last=last):
            loss = parts.task.loss_sum(parts.wrapped, batch.to(engine.device))
            # Engines average gradients over the ranks, so each rank counts its share world_size times.
            engine.backward(parts.wrapped, loss * (engine.world_size / weight))
        return loss.detach()

    def _check_engine(self, step: Step, *, proven: bool) -> None:
        """After the first step: each rank had its own examples, the update reached every copy of the weights, and no weight that
        is frozen; the weights again and again.
        """
        if not proven:
            self.engine.check_first_step(self.parts.wrapped, step.mine, step.examples.tolist())
        every = self.settings.parallel.replica_check_steps
        if not proven or (every and self.state.step % every == 0):
            self.engine.check_weights(self.parts.wrapped, self._frozen)

    def check_before_saving(self) -> None:
        """A flipped bit has been in every gradient since: what it made of the weights must not become a commit.  A collective."""
        if self.settings.parallel.replica_check_steps:
            self.engine.check_weights(self.parts.wrapped, self._frozen)

    def _account(self, step: Step, result: StepResult, started: float) -> None:
        state, window = self.state, self.state.window
        state.step += 1
        if result.finite:
            window.loss += result.loss_sum
            window.weight += result.weight
            window.grad_norm = result.grad_norm
        elif not result.rescaled:
            self._nonfinite(step, result)
        window.tokens += step.tokens
        window.padded_tokens += step.padded_tokens
        window.examples += len(step.examples)
        seconds = time.perf_counter() - started
        window.seconds += seconds
        state.seconds += seconds

    def _flush_window(self) -> dict[str, Any]:
        """The metric record of the steps since the last one."""
        state, window = self.state, self.state.window
        seconds = max(window.seconds, 1e-9)
        state.window = Window()
        return {
            "train/loss": window.loss / window.weight if window.weight else None,
            "train/grad_norm": window.grad_norm if window.weight else None,
            "train/learning_rate": self.parts.learning_rate(state.step - 1),
            "perf/tokens_per_second": window.tokens / seconds,
            "perf/examples_per_second": window.examples / seconds,
            "perf/padding_share": 1 - window.tokens / window.padded_tokens if window.padded_tokens else 0.0,
        }

    def _nonfinite(self, step: Step, result: StepResult) -> None:
        state = self.state
        state.nonfinite_steps += 1
        ids = ", ".join(self.parts.feed.ids(step)[:8])
        logger.warning(
            "step %d: loss sum %s, gradient norm %s, no update; examples %s", state.step, result.loss_sum, result.grad_norm, ids
        )
        if state.nonfinite_steps > self.settings.train.max_nonfinite_steps:
            raise HopelessError(
                f"Loss or gradients were not finite at step {state.step} (examples {ids} ...): training diverged. No update was made.",
                "Lower JOB_TRAIN__LEARNING_RATE, look at these examples, use JOB_TRAIN__PRECISION=fp32, "
                "or allow skipped steps with JOB_TRAIN__MAX_NONFINITE_STEPS.",
            )
