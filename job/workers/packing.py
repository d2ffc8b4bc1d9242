"""Several short documents in one record, so that no arithmetic is spent on padding.

Nothing is lost: every piece comes out once, in a record with others or alone; the last records are merely less full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

NUM_OPEN = 64
"""Records that wait for more pieces at a time: a bound on memory, and on how far a piece strays from its place."""


@dataclass(frozen=True)
class Piece:
    """Tokens that see each other and nothing else: a document, or a window of a long one.

    Attributes:
        id: of the document; with ``#2`` and so on after it for its second window and those that follow.
        input_ids: [T].
        targets: [T], 1 for each token that the model has to predict, 0 for one that it only reads.
        num_bytes: bytes of text that the targets stand for.
    """

    id: str
    input_ids: Sequence[int]
    targets: Sequence[int]
    num_bytes: int = 0

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass
class Packer:
    """Fills records of at most ``room`` tokens: each piece goes where it leaves the least room; no random number is involved."""

    room: int
    _open: list[list[Piece]] = field(default_factory=list)

    def add(self, piece: Piece) -> Iterator[list[Piece]]:
        """Take a piece, at most ``room`` long; gives the records that are finished by it."""
        fitting = [block for block in self._open if self._left(block) >= len(piece)]
        if fitting:
            min(fitting, key=self._left).append(piece)
        else:
            self._open.append([piece])
        full = [block for block in self._open if self._left(block) == 0]
        self._open = [block for block in self._open if self._left(block) > 0]
        yield from full
        if len(self._open) > NUM_OPEN:
            fullest = min(self._open, key=self._left)
            self._open = [block for block in self._open if block is not fullest]
            yield fullest

    def rest(self) -> Iterator[list[Piece]]:
        """The records that are still open."""
        yield from self._open
        self._open = []

    def _left(self, block: list[Piece]) -> int:
        return self.room - sum(map(len, block))


def windows(length: int, longest: int, overlap: int) -> list[tuple[int, int]]:
    """Begin and end of the windows of at most ``longest`` tokens that cover ``length`` tokens.

    Each begins ``overlap`` tokens before the end of the last one, so that what only serves as a beginning is read twice.
    """
    found = [(0, min(length, longest))]
    while found[-1][1] < length:
        begin = found[-1][1] - overlap
        found.append((begin, min(length, begin + longest)))
    return found
