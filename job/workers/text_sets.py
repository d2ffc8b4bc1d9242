"""Texts that belong together, each tokenized on its own: an anchor, the text that is sought with it, perhaps one that is not.

Shapes: K texts of a record, T tokens of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value

from job.workers.cutting import cut
from job.workers.readers.base import ID_ROLE, Role, Roles
from job.workers.text_encoding import PAIR_MARK, digest
from job.workers.tokenization import Encoded, TokenizerSetup

PAIRS: Roles = {"id": ID_ROLE, "anchor": Role("anchor_column"), "positive": Role("positive_column")}
TRIPLETS: Roles = {**PAIRS, "negative": Role("negative_column")}
FEATURES = Features(
    {
        **{name: Value("string") for name in ("id", "text", "text_sha256")},
        "texts": List(List(Value("int32"))),
        "keys": List(Value("int64")),
        "length": Value("int32"),
    }
)
"""``texts`` [K, T]; ``keys`` [K] are equal for equal texts; ``length`` is what the record costs: K rows as long as its longest."""
_EXAMPLE = pa.schema([("id", pa.string()), ("text", pa.string()), ("text_sha256", pa.string()), ("length", pa.int32())])


class TextSetEncoder:
    """The `Encoder` of pairs and triplets of texts; a record without a token in one of its texts is left out."""

    features = FEATURES

    def __init__(self, setup: TokenizerSetup, columns: Sequence[str]) -> None:
        self._setup = setup
        self._columns = columns

    def encode(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Encoded]:
        return (self._encode(rows) for rows in batches)

    def _encode(self, rows: pa.RecordBatch) -> Encoded:
        backend, longest = self._setup.tokenizer.backend_tokenizer, self._setup.max_length
        side, special = self._setup.tokenizer.truncation_side, self._setup.tokenizer.num_special_tokens_to_add(pair=False)
        columns = [rows.column(name).to_pylist() for name in self._columns]
        encoded = [backend.encode_batch(texts, add_special_tokens=True) for texts in columns]
        records, examples, tokens_in, without = [], [], [], []
        for identifier, texts, sides in zip(
            rows.column("id").to_pylist(), zip(*columns, strict=True), zip(*encoded, strict=True), strict=True
        ):
            if any(len(one) <= special for one in sides):
                without.append(identifier)
                continue
            ids = [cut(one, longest, side)[0] for one in sides]
            told = {"id": identifier, "text": PAIR_MARK.join(texts), "text_sha256": digest("\0".join(texts))}
            records.append({**told, "texts": ids, "keys": [_key(text) for text in texts], "length": len(ids) * max(map(len, ids))})
            examples.append({**told, "length": sum(map(len, ids))})
            tokens_in.append(sum(len(one) for one in sides))
        return Encoded(
            pa.Table.from_pylist(records, schema=FEATURES.arrow_schema.remove_metadata()),
            np.array(tokens_in, dtype=np.int32),
            pa.Table.from_pylist(examples, schema=_EXAMPLE),
            without_tokens=tuple(without),
        )


def _key(text: str) -> int:
    """63 bits of the text's sha256."""
    return int(digest(text)[:16], 16) >> 1
