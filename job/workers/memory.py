"""Running out of device memory: all ranks cut the step smaller and take it again from the state before it.

The global batch stays, and the loss is normalised over the whole step, so the update stays the same but for rounding (and for
dropout, whose masks fall on other rows).  Ranks agree before the step's last micro-batch, in which gradients are averaged: up to
there each works by itself, and one that is short can wait for the others.

    shortage   one rank's device could not hold a micro-batch
    given up   any rank's shortage, known to all of them: this step's gradients are thrown away
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterable, Iterator

import torch

from job.errors import CrashError
from job.workers.batching import MicroBatch, padded_tokens
from job.workers.engine import Engine
from job.workers.engine.shortage import REMEDY, too_large
from job.workers.feed import Feed, Step

logger = logging.getLogger(__name__)


class Memory:
    """Notes shortages of this rank, agrees on them with the others, and cuts steps smaller.

    Args:
        engine: the group.
        feed: whose ``cut`` becomes smaller.
        collective: whether the task's forward passes are collectives.
    """

    def __init__(self, engine: Engine, feed: Feed, *, collective: bool) -> None:
        self._engine = engine
        self._feed = feed
        self.recovers = engine.repeatable and not (collective and engine.world_size > 1)
        """Whether a step can be taken again at all."""
        self.short = False
        """Whether this rank ran out of memory since the ranks last agreed."""
        self._hopeless = False

    @contextlib.contextmanager
    def watched(self, rows: int, *, together: bool = False) -> Iterator[None]:
        """Around the passes over one micro-batch: a shortage is noted, every other error goes on.

        Args:
            rows: examples of the micro-batch.
            together: other ranks wait for this one inside of it, so it can be taken again only by a new start.

        Raises:
            HopelessError: out of memory where a step cannot be taken again.
            CrashError: out of memory in the last micro-batch of several ranks.
        """
        try:
            yield
        except Exception as error:
            if not self._engine.out_of_memory(error):
                raise
            if not self.recovers:
                raise too_large(f"on rank {self._engine.rank}", error) from error
            if together and self._engine.world_size > 1:
                raise CrashError(
                    f"Out of memory on rank {self._engine.rank} while gradients were exchanged, though the longest batch had fitted "
                    f"before: {error}",
                    f"The next start goes on from the last commit. If it comes again: {REMEDY}",
                ) from error
            self.short, self._hopeless = True, rows == 1

    def given_up(self) -> bool:
        """Whether any rank was short since this was last asked; a collective.  The gradients so far are to be thrown away then.

        Raises:
            HopelessError: when it was one example that did not fit; on every rank.
        """
        if not self.recovers:
            return False
        short, hopeless = self._engine.sum([float(self.short), float(self._hopeless)])
        self.short = self._hopeless = False
        if hopeless:
            raise too_large("with a single example at once, which cannot be cut any smaller.")
        return short > 0

    def forget(self, optimizer: torch.optim.Optimizer) -> None:
        """Throw gradients away and give cached memory back to the device, so that smaller pieces find room."""
        optimizer.zero_grad(set_to_none=True)
        self._engine.free_memory()

    def smaller(self, number: int) -> Step:
        """Cut this step, and all that follow, into micro-batches of at most half its largest one."""
        self.halve(piece for pieces in self._feed.plan(number) for piece in pieces)
        return self._feed[number]

    def halve(self, pieces: Iterable[MicroBatch]) -> None:
        """Halve the budget of tokens, beginning at the largest of the micro-batches that can be cut."""
        lengths = self._feed.schedule.lengths
        largest = max(padded_tokens([piece], lengths) for piece in pieces if len(piece.indices) > 1)
        tokens = max(1, min(largest, self._feed.cut.max_tokens) // 2)
        self._feed.cut = dataclasses.replace(self._feed.cut, max_tokens=tokens)
        logger.warning("out of memory with %d tokens at once; going on with at most %d, same global batch", largest, tokens)
