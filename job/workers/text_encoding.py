"""Texts, or pairs of texts, to token ids: counted before they are cut.

The tokenizer runs over whole batches without truncation, in Rust and on all cores, so the ledger knows exactly what cutting
costs; only texts that are too long are then cut, here, by the rule the tokenizer itself would use.

Shapes: B texts of a batch, T tokens of one text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value

from job.errors import CrashError
from job.workers.cutting import cut
from job.workers.tokenization import Encoded, TokenizerSetup

PAIR_MARK = " ⏎ "
_NUM_RETOKENIZED = 32
"""Examples on which the published tokenizer is compared with what the model was trained on."""


class TextEncoder:
    """The `Encoder` of texts with a label: ``input_ids`` [T], where the model wants them ``token_type_ids`` [T], and ``label``.

    Args:
        setup: tokenizer and longest input.
        label: the label's feature, and how a column of labels (`rows.SCHEMA`) becomes it.
    """

    def __init__(self, setup: TokenizerSetup, label: tuple[Any, Callable[[pa.Array], pa.Array]]) -> None:
        self._setup = setup
        self._feature, self._encode_label = label

    @property
    def features(self) -> Features:
        text = {name: Value("string") for name in ("id", "text", "text_sha256")}
        types = {"token_type_ids": List(Value("int8"))} if self._setup.has_type_ids else {}
        ids = {"input_ids": List(Value("int32")), **types, "length": Value("int32")}
        return Features({**text, **ids, "label": self._feature})

    def encode(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Encoded]:
        return (self._encode(rows) for rows in batches)

    def _encode(self, rows: pa.RecordBatch) -> Encoded:
        """Rows as they are written, less those without a token."""
        tokenizer = self._setup.tokenizer
        texts = list(zip(rows.column("text").to_pylist(), rows.column("pair").to_pylist(), strict=True))
        inputs = [text if pair is None else (text, pair) for text, pair in texts]
        encodings = tokenizer.backend_tokenizer.encode_batch_fast(inputs, add_special_tokens=True)
        tokens_in = np.array([len(encoding) for encoding in encodings], dtype=np.int32)
        num_special = tokenizer.num_special_tokens_to_add(pair=rows.column("pair").null_count < rows.num_rows)
        full = np.flatnonzero(tokens_in > num_special)
        without_tokens: list[str] = []
        if len(full) < len(encodings):
            without_tokens = np.delete(np.array(rows.column("id").to_pylist(), dtype=object), full).tolist()
            rows, tokens_in = rows.take(pa.array(full)), tokens_in[full]
        table = self._table(rows, [texts[at] for at in full], [encodings[at] for at in full])
        return Encoded(table, tokens_in, without_tokens=tuple(without_tokens))

    def _table(self, rows: pa.RecordBatch, texts: Sequence[tuple[str, str | None]], encodings: Sequence[Any]) -> pa.Table:
        side, longest = self._setup.tokenizer.truncation_side, self._setup.max_length
        tokens = [cut(encoding, longest, side) for encoding in encodings]
        columns = {
            "id": rows.column("id"),
            "text": pa.array([text if pair is None else f"{text}{PAIR_MARK}{pair}" for text, pair in texts], pa.string()),
            "text_sha256": pa.array([digest(*both) for both in texts], pa.string()),
            "input_ids": pa.array([ids for ids, _ in tokens], pa.list_(pa.int32())),
        }
        if self._setup.has_type_ids:
            columns["token_type_ids"] = pa.array([types for _, types in tokens], pa.list_(pa.int8()))
        columns["length"] = pa.array([len(ids) for ids, _ in tokens], pa.int32())
        columns["label"] = self._encode_label(rows.column("label"))
        return pa.table(columns)


def check_texts(tokenizer: Any, dataset: Any) -> None:
    """Tokenize a few records anew, from their ``text``, as a user of the published folder will.

    Raises:
        CrashError: when the tokens are not the record's ``input_ids``.
    """
    for row in dataset.select(range(min(_NUM_RETOKENIZED, len(dataset)))):
        if tokenizer(row["text"], truncation=True)["input_ids"] != row["input_ids"]:
            raise CrashError(
                f"The saved tokenizer does not give the tokens that the model was trained on (example {row['id']!r}).",
                "This is a bug in the job, or the tokenizer changes its behaviour when it is saved.",
            )


def digest(text: str, pair: str | None = None) -> str:
    """sha256 over the exact text, or over both texts with a zero byte between them."""
    return hashlib.sha256((text if pair is None else f"{text}\0{pair}").encode()).hexdigest()
