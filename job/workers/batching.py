"""Which examples make a step, and how a step is cut into micro-batches.  Pure functions over lengths.

The examples of a step are drawn first; how they are cut never changes that.  Inside the step they are dealt to the ranks by
length and cut into runs of like length under a token budget, so almost no padding is left, while the loss, weighted over the
whole step, gives the same update.

Units: lengths and budgets in tokens; B examples of a step, W ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Lengths = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

GROUPED_STEPS = 50
"""Length grouping sorts within this many steps' worth of randomly drawn examples."""
OVERHEAD_TOKENS = {"cpu": 64, "cuda": 2048}
"""What starting one more micro-batch costs, in tokens' worth of arithmetic: launch time and reading the weights once more."""


@dataclass(frozen=True)
class MicroBatch:
    """Examples that one rank holds at once; a filler repeats an example with weight 0 so that all ranks run as many."""

    indices: tuple[int, ...]
    filler: bool = False


@dataclass(frozen=True)
class Cut:
    """How a step is cut: at most ``max_examples`` rows and ``max_tokens`` padded tokens a micro-batch, unless one row is longer."""

    max_tokens: int
    max_examples: int | None = None
    by_length: bool = True
    overhead_tokens: int = OVERHEAD_TOKENS["cpu"]


@dataclass(frozen=True)
class Schedule:
    """The steps of a run: a pure function from the step's number to its examples, so a cursor is all there is to save."""

    lengths: Lengths
    global_batch_size: int
    seed: int
    order: Literal["random", "length_grouped"] = "random"

    @property
    def steps_per_epoch(self) -> int:
        """The last step of an epoch may be smaller."""
        return math.ceil(len(self.lengths) / self.global_batch_size)

    def epoch_order(self, epoch: int) -> Indices:
        """Every example once, in the order in which the epoch draws them."""
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self.lengths))
        if self.order == "random":
            return order
        return self._grouped(order, generator)

    def _grouped(self, order: Indices, generator: np.random.Generator) -> Indices:
        """Sort by length within windows, then shuffle the steps; a smaller last step stays last."""
        window = GROUPED_STEPS * self.global_batch_size
        steps: list[Indices] = []
        for start in range(0, len(order), window):
            drawn = order[start : start + window]
            drawn = drawn[np.argsort(-self.lengths[drawn], kind="stable")]
            steps += [drawn[at : at + self.global_batch_size] for at in range(0, len(drawn), self.global_batch_size)]
        whole = [step for step in steps if len(step) == self.global_batch_size]
        rest = [step for step in steps if len(step) != self.global_batch_size]
        return np.concatenate([whole[at] for at in generator.permutation(len(whole))] + rest)

    def examples(self, step: int, order: Indices) -> Indices:
        """The examples of optimizer step ``step`` (counted from 0), given its epoch's order."""
        start = (step % self.steps_per_epoch) * self.global_batch_size
        return order[start : start + self.global_batch_size]


def plan_step(examples: Indices, lengths: Lengths, world_size: int, cut: Cut) -> list[list[MicroBatch]]:
    """Deal a step's examples to the ranks and cut each rank's share.

    Args:
        examples: [B] indices into ``lengths``.
        lengths: tokens of every example of the split.
        world_size: W.
        cut: how to cut.

    Returns:
        For each of the W ranks a list of micro-batches, the same number for every rank.
    """
    if cut.by_length:
        ordered = examples[np.argsort(-lengths[examples], kind="stable")]
        shares = [ordered[positions] for positions in _deal(len(ordered), world_size)]
        cuts = [_cut_by_length(share, lengths, cut) for share in shares]
    else:
        cuts = [_cut_in_order(share, lengths, cut) for share in np.array_split(examples, world_size)]
    most = max(len(pieces) for pieces in cuts)
    shortest = int(examples[np.argmin(lengths[examples])])
    return [_level(pieces, most, shortest) for pieces in cuts]


def _deal(count: int, world_size: int) -> list[Indices]:
    """Positions 0..count-1 dealt forth and back (0 1 1 0 0 1 ...), so that every rank gets a like share of long ones."""
    positions = np.arange(count)
    turn, place = np.divmod(positions, world_size)
    owner = np.where(turn % 2 == 0, place, world_size - 1 - place)
    return [positions[owner == rank] for rank in range(world_size)]


def _cut_by_length(share: Indices, lengths: Lengths, cut: Cut) -> list[MicroBatch]:
    """The cut of a share, longest first, into runs with the least padded tokens plus overhead (dynamic programming)."""
    sizes = lengths[share].astype(np.float64)
    count = len(share)
    cost = np.zeros(count + 1)
    begin = np.zeros(count + 1, dtype=np.int64)
    most = cut.max_examples or count
    for end in range(1, count + 1):
        starts = np.arange(max(0, end - most), end)
        rows = end - starts
        padded = rows * sizes[starts]
        candidates = cost[starts] + padded + cut.overhead_tokens
        candidates[(padded > cut.max_tokens) & (rows > 1)] = np.inf
        best = int(np.argmin(candidates))
        cost[end], begin[end] = candidates[best], starts[best]
    pieces = []
    end = count
    while end:
        pieces.append(MicroBatch(tuple(int(index) for index in share[begin[end] : end])))
        end = int(begin[end])
    return pieces[::-1]


def _cut_in_order(share: Indices, lengths: Lengths, cut: Cut) -> list[MicroBatch]:
    """The share in its order, each micro-batch as full as the bounds allow."""
    pieces: list[MicroBatch] = []
    piece: list[int] = []
    for index in share.tolist():
        grown = [*piece, index]
        too_many = cut.max_examples is not None and len(grown) > cut.max_examples
        if piece and (too_many or len(grown) * int(lengths[grown].max()) > cut.max_tokens):
            pieces.append(MicroBatch(tuple(piece)))
            grown = [index]
        piece = grown
    return [*pieces, MicroBatch(tuple(piece))] if piece else pieces


def _level(pieces: list[MicroBatch], count: int, spare: int) -> list[MicroBatch]:
    """Bring a rank to ``count`` micro-batches: halve its largest, and where nothing is left to halve, add fillers."""
    pieces = list(pieces)
    while len(pieces) < count:
        largest = max(range(len(pieces)), key=lambda at: len(pieces[at].indices), default=None)
        if largest is None or len(pieces[largest].indices) < 2:
            pieces.append(MicroBatch((spare,), filler=True))
            continue
        whole = pieces[largest].indices
        middle = len(whole) // 2
        pieces[largest : largest + 1] = [MicroBatch(whole[:middle]), MicroBatch(whole[middle:])]
    return pieces


def heaviest(lengths: Lengths, most_rows: int, cut: Cut) -> list[MicroBatch]:
    """The micro-batches that need the most memory: with the longest examples, and with the most padded tokens if that is another.

    Args:
        lengths: tokens of every example of the split.
        most_rows: most examples of a step that one rank may be dealt.
        cut: how steps are cut.
    """
    order = np.argsort(-lengths, kind="stable")
    sizes = lengths[order]
    most = np.minimum(min(most_rows, cut.max_examples or most_rows), np.arange(len(order), 0, -1))
    rows = np.clip(cut.max_tokens // np.maximum(sizes, 1), 1, most)
    starts = sorted({0, int(np.argmax(rows * sizes))})
    return [MicroBatch(tuple(int(index) for index in order[start : start + rows[start]])) for start in starts]


def padded_tokens(pieces: Sequence[MicroBatch], lengths: Lengths) -> int:
    """Tokens that one rank computes for its micro-batches, padding included."""
    return sum(len(piece.indices) * int(lengths[list(piece.indices)].max()) for piece in pieces)
