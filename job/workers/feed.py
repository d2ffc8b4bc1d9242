"""The stream of steps for one rank: drawn, cut, collated, in data-loading processes where asked for."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from job.workers.batching import Cut, Indices, MicroBatch, Schedule, heaviest, padded_tokens, plan_step
from job.workers.scoring import batches
from job.workers.tasks.base import Batch, Task

IGNORED_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)


@dataclass(frozen=True)
class Step:
    """One optimizer step as one rank sees it.

    ``number`` counts from 0; ``examples`` are those of all ranks, ``mine`` this rank's; ``batches`` this rank's micro-batches;
    ``tokens`` and ``padded_tokens`` count over all ranks.
    """

    number: int
    examples: Indices
    mine: tuple[int, ...]
    batches: list[Batch]
    tokens: int
    padded_tokens: int


@dataclass(frozen=True)
class Place:
    """A rank's place in the group."""

    rank: int
    world_size: int


class Feed(Dataset[Step]):
    """All steps of a run, by number."""

    def __init__(self, dataset: Any, task: Task, schedule: Schedule, cut: Cut, place: Place) -> None:
        self._dataset = dataset
        self._task = task
        self.schedule = schedule
        self.cut = cut
        self._place = place
        self._order: tuple[int, Indices] = (-1, np.empty(0, dtype=np.int64))

    def __getitem__(self, number: int) -> Step:
        lengths = self.schedule.lengths
        examples, plan = self._examples(number), self.plan(number)
        epoch = number // self.schedule.steps_per_epoch
        made = list(batches(self._task, self._dataset, plan[self._place.rank], epoch))
        padded = sum(padded_tokens(pieces, lengths) for pieces in plan)
        mine = tuple(index for piece in plan[self._place.rank] if not piece.filler for index in piece.indices)
        return Step(number, examples, mine, made, int(lengths[examples].sum()), padded)

    def plan(self, number: int) -> list[list[MicroBatch]]:
        """The micro-batches of a step, of every rank: the same list on each of them."""
        return plan_step(self._examples(number), self.schedule.lengths, self._place.world_size, self.cut)

    def heaviest(self) -> list[MicroBatch]:
        """The micro-batches of the whole run that need the most memory."""
        return heaviest(self.schedule.lengths, math.ceil(self.schedule.global_batch_size / self._place.world_size), self.cut)

    def batch(self, piece: MicroBatch) -> Batch:
        """A micro-batch as the first epoch would see it."""
        return next(batches(self._task, self._dataset, [piece], 0))

    def _examples(self, number: int) -> Indices:
        return self.schedule.examples(number, self._epoch_order(number // self.schedule.steps_per_epoch))

    def _epoch_order(self, epoch: int) -> Indices:
        if self._order[0] != epoch:
            self._order = (epoch, self.schedule.epoch_order(epoch))
        return self._order[1]

    def ids(self, step: Step) -> list[str]:
        """The ids of a step's examples, for messages."""
        return [str(self._dataset[int(index)]["id"]) for index in step.examples]

    def stream(self, start: int, num_steps: int, data_workers: int) -> Iterator[Step]:
        """Steps ``start`` to ``num_steps`` - 1.  The order does not depend on ``data_workers``.

        A ``cut`` that is replaced meanwhile holds from the next step on, whatever was made ahead.
        """
        while start < num_steps:
            loader: DataLoader[Step] = DataLoader(
                self,
                sampler=range(start, num_steps),
                batch_size=None,
                num_workers=data_workers,
                worker_init_fn=_deaf if data_workers else None,
                pin_memory=torch.cuda.is_available(),
            )
            cut = self.cut
            for step in loader:
                yield step
                start += 1
                if self.cut is not cut:
                    break


def _deaf(_: int) -> None:
    """A stop signal that reaches every process must not take the data from under a rank that is still saving."""
    for ignored in IGNORED_SIGNALS:
        signal.signal(ignored, signal.SIG_IGN)
