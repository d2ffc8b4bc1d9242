"""Records of tasks that train on tokens: which tokens they hold, which of these are targets, and where one document ends.

Shapes: T tokens of a record, D pieces of a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value

from job.workers.packing import Packer, Piece
from job.workers.text_encoding import digest
from job.workers.tokenization import Encoded

FEATURES = Features(
    {
        "id": Value("string"),
        "input_ids": List(Value("int32")),
        "targets": List(Value("int8")),
        "pieces": List(Value("int32")),
        "num_bytes": Value("int64"),
        "length": Value("int32"),
    }
)
"""``targets`` [T] is 1 for a token that has to be predicted, 0 for one that is only read; ``pieces`` [D] are lengths that add up to T."""
_EXAMPLE = pa.schema([("id", pa.string()), ("text", pa.string()), ("text_sha256", pa.string()), ("length", pa.int32())])


@dataclass(frozen=True)
class TokenizedExample:
    """One row of the data, tokenized: ``tokens_in`` counts before anything is cut; ``text`` is what a person is shown of it."""

    id: str
    text: str
    tokens_in: int
    pieces: Sequence[Piece]

    @property
    def tokens_kept(self) -> int:
        """Windows that overlap hold a token twice, which is one token kept."""
        return min(self.tokens_in, sum(map(len, self.pieces)))

    @property
    def num_targets(self) -> int:
        return sum(sum(piece.targets) for piece in self.pieces)


class TokenEncoder:
    """The `Encoder` of tasks that train on tokens.

    Args:
        tokenize: rows of the source to examples, in their order.
        room: tokens of a packed record; None for a record a piece.
    """

    features = FEATURES

    def __init__(self, tokenize: Callable[[pa.RecordBatch], Sequence[TokenizedExample]], room: int | None) -> None:
        self._tokenize = tokenize
        self._room = room

    def encode(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Encoded]:
        packer = Packer(self._room or 0)
        for rows in batches:
            examples = self._tokenize(rows)
            full = [one for one in examples if one.num_targets]
            pieces = [piece for one in full for piece in one.pieces if any(piece.targets)]
            if self._room is None:
                blocks = [[piece] for piece in pieces]
            else:
                blocks = [block for piece in pieces for block in packer.add(piece)]
            yield Encoded(
                _records(blocks),
                np.array([one.tokens_in for one in full], dtype=np.int32),
                _examples(full),
                tuple(one.id for one in examples if one.tokens_in == 0),
                tuple(one.id for one in examples if one.tokens_in and not one.num_targets),
                Counter(trained_tokens=sum(one.num_targets for one in full)),
            )
        if rest := list(packer.rest()):
            yield Encoded(_records(rest), np.zeros(0, dtype=np.int32), _examples([]))


def _records(blocks: Sequence[Sequence[Piece]]) -> pa.Table:
    columns = {
        "id": [block[0].id if len(block) == 1 else f"{block[0].id}+{len(block) - 1}" for block in blocks],
        "input_ids": [[token for piece in block for token in piece.input_ids] for block in blocks],
        "targets": [[target for piece in block for target in piece.targets] for block in blocks],
        "pieces": [[len(piece) for piece in block] for block in blocks],
        "num_bytes": [sum(piece.num_bytes for piece in block) for block in blocks],
        "length": [sum(map(len, block)) for block in blocks],
    }
    return pa.table(columns, schema=FEATURES.arrow_schema)


def _examples(examples: Sequence[TokenizedExample]) -> pa.Table:
    columns = {
        "id": [one.id for one in examples],
        "text": [one.text for one in examples],
        "text_sha256": [digest(one.text) for one in examples],
        "length": [one.tokens_kept for one in examples],
    }
    return pa.table(columns, schema=_EXAMPLE)
