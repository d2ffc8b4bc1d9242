"""The training program with a fault in one of its workers: ``FAULT=<name>:<step>``, started by `tests.faults.node` in its place.

The job has no hook for this: its own functions are wrapped here, and only here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from job.workers import train
from job.workers.boundary import Boundary, StopFile
from job.workers.engine.replicas import Replicas
from job.workers.loop import Loop
from job.workers.program import run_program

RANK = 1
"""Whose fault it is."""


def arm(name: str, at: int) -> None:
    """Wrap what the fault is about."""
    harm = HARMS[name]
    real = Loop.take_step

    def take_step(self: Loop, step: Any) -> Any:
        mine = self.engine.rank == min(RANK, self.engine.world_size - 1)
        return harm(self, step, real) if mine and step.number >= at else real(self, step)

    Loop.take_step = take_step  # type: ignore[method-assign]


def see_the_stop_late(*, alone: bool) -> None:
    """The last rank sees a stop request one look later; ``alone``: each rank goes by what it sees itself."""
    exists, sum_ = StopFile.exists, Replicas.sum

    def late(self: StopFile) -> bool:
        before, now = getattr(self, "seen", False), exists(self)
        self.seen = now  # type: ignore[attr-defined]
        return before if self._engine.rank else now

    StopFile.exists = late  # type: ignore[method-assign]
    if alone:
        cross = Boundary.cross

        def cross_alone(self: Boundary, state: Any) -> None:
            Replicas.sum = lambda _, values: list(values)  # type: ignore[method-assign]
            try:
                cross(self, state)
            finally:
                Replicas.sum = sum_  # type: ignore[method-assign]

        Boundary.cross = cross_alone  # type: ignore[method-assign]


Real = Callable[[Loop, Any], Any]


def poisoned(value: float) -> Callable[[Loop, Any, Real], Any]:
    """One loss is not a number; the step after it is well."""

    def harm(loop: Loop, step: Any, real: Real) -> Any:
        task = loop.parts.task
        loss_sum = task.loss_sum
        task.loss_sum = lambda model, batch: loss_sum(model, batch) * value  # type: ignore[method-assign]
        try:
            return real(loop, step)
        finally:
            task.loss_sum = loss_sum  # type: ignore[method-assign]

    return harm


def hang(_: Loop, __: Any, ___: Real) -> Any:
    while True:
        time.sleep(60)


def slow(loop: Loop, step: Any, real: Real) -> Any:
    time.sleep(0.05)
    return real(loop, step)


def flip(loop: Loop, step: Any, real: Real) -> Any:
    """One bit of one weight of this replica, once."""
    result = real(loop, step)
    if not hasattr(loop, "flipped"):
        loop.flipped = True  # type: ignore[attr-defined]
        next(loop.parts.wrapped.parameters()).data.view(torch.int32).view(-1)[5] ^= 1 << 20
    return result


def memory(loop: Loop, step: Any, real: Real) -> Any:
    """The device has no memory left for the first micro-batch of one step.

    As all harms here it replaces a method of a live object, which mypy wants to be told: the job itself has no hook.
    """
    task = loop.parts.task
    loss_sum = task.loss_sum

    def too_large(model: Any, batch: Any) -> Any:
        task.loss_sum = loss_sum  # type: ignore[method-assign]
        raise torch.OutOfMemoryError("A fault of the tests: out of memory")

    if not hasattr(loop, "short"):
        loop.short = True  # type: ignore[attr-defined]
        task.loss_sum = too_large  # type: ignore[method-assign]
    return real(loop, step)


def crash(_: Loop, __: Any, ___: Real) -> Any:
    raise RuntimeError("A fault of the tests.")


HARMS: dict[str, Callable[[Loop, Any, Real], Any]] = {
    "nan": poisoned(float("nan")),
    "inf": poisoned(float("inf")),
    "hang": hang,
    "slow": slow,
    "flip": flip,
    "memory": memory,
    "crash": crash,
}

if __name__ == "__main__":
    del sys.argv[1]  # the module in whose place this runs; it stands there so that the job finds its workers
    name, _, step = os.environ["FAULT"].partition(":")
    if name in {"late-stop", "stop-alone"}:
        see_the_stop_late(alone=name == "stop-alone")
    else:
        arm(name, int(step))
    run_program("train", train.main)
