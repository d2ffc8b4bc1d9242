"""Texts to token ids, counted before they are cut.

The tokenizer runs over whole batches without truncation, in Rust and on all cores, so the ledger knows exactly what cutting
costs; only texts that are too long are then cut, here, by the rule the tokenizer itself would use.

Shapes: B texts of a batch, T tokens of one text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Features, List, Value
from datasets.arrow_writer import ArrowWriter

from job.workers.cutting import cut
from job.workers.labels import LabelScheme
from job.workers.splits import Split

BATCH_TEXTS = 1_000
PAIR_MARK = " ⏎ "
NUM_LONGEST = 5
SHOWN_CHARACTERS = 200
_LABEL_FEATURES = {"single_label": Value("int64"), "multi_label": List(Value("float32")), "regression": Value("float32")}

Counts = npt.NDArray[np.int32]
Digests = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class TokenizerSetup:
    """The tokenizer and how it is used: ``max_length`` in tokens, special tokens included."""

    tokenizer: Any
    max_length: int

    @property
    def has_type_ids(self) -> bool:
        return "token_type_ids" in self.tokenizer.model_input_names


@dataclass
class TokenizedSplit:
    """What tokenizing found, example by example, in the order of the written rows [N].

    ``tokens_in`` before and ``tokens_kept`` after cutting, both with special tokens; ``digests`` are the first 64 bits of each
    text's sha256; ``labels`` as written; ``without_tokens`` are ids of texts in which the tokenizer found nothing.
    """

    tokens_in: list[Counts] = field(default_factory=list)
    tokens_kept: list[Counts] = field(default_factory=list)
    digests: list[Digests] = field(default_factory=list)
    labels: list[npt.NDArray[Any]] = field(default_factory=list)
    identifiers: list[pa.ChunkedArray] = field(default_factory=list)
    without_tokens: list[str] = field(default_factory=list)
    longest: list[dict[str, Any]] = field(default_factory=list)
    hashes: dict[str, Any] = field(default_factory=dict)

    @property
    def num_examples(self) -> int:
        return sum(len(part) for part in self.tokens_in)

    def column(self, name: str) -> npt.NDArray[Any]:
        """One of the per-example fields as a single array [N, ...]."""
        parts = getattr(self, name)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def examples(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Ids of the first three of some rows, for a message."""
        chunks = [chunk for part in self.identifiers for chunk in part.chunks]
        return [pa.chunked_array(chunks, pa.string())[int(row)].as_py() for row in rows[:3]]

    def fingerprint(self) -> str:
        """sha256 over ids and labels of all examples in order, the same on every machine and for every batch size."""
        together = hashlib.sha256()
        for name in sorted(self.hashes):
            together.update(name.encode() + self.hashes[name].digest())
        return together.hexdigest()

    def add(self, table: pa.Table, tokens_in: Counts) -> None:
        """Take in written rows, with their lengths before cutting."""
        kept = table["length"].to_numpy()
        self.tokens_in.append(tokens_in)
        self.tokens_kept.append(kept)
        self.identifiers.append(table["id"])
        self.digests.append(np.array([int(digest[:16], 16) for digest in table["text_sha256"].to_pylist()], dtype=np.uint64))
        self.labels.append(_plain_labels(table["label"].combine_chunks(), table.num_rows))
        self._add_longest(table, tokens_in)
        for name in ("input_ids", "token_type_ids", "length", "label"):
            if name in table.column_names:
                self._hash(name, table[name].combine_chunks())

    def _add_longest(self, table: pa.Table, tokens_in: Counts) -> None:
        for at in np.argsort(-tokens_in, kind="stable")[:NUM_LONGEST]:
            text = table["text"][int(at)].as_py()[:SHOWN_CHARACTERS]
            self.longest.append({"id": table["id"][int(at)].as_py(), "tokens": int(tokens_in[at]), "text": text})
        self.longest = sorted(self.longest, key=lambda entry: -entry["tokens"])[:NUM_LONGEST]

    def _hash(self, name: str, column: pa.Array) -> None:
        values = column.flatten() if pa.types.is_list(column.type) else column
        plain = values.to_numpy(zero_copy_only=False)
        self.hashes.setdefault(name, hashlib.sha256()).update(plain.astype(plain.dtype.newbyteorder("<")).tobytes())


def tokenize_split(
    split: Split, scheme: LabelScheme, setup: TokenizerSetup, folder: Path, progress: Callable[[], None]
) -> TokenizedSplit:
    """Tokenize a split and write it to ``folder`` as a `datasets.Dataset`.

    Args:
        split: which rows.
        scheme: labels to numbers.
        setup: tokenizer and longest input.
        folder: where `datasets.load_from_disk` finds it afterwards.
        progress: called after each batch.
    """
    found = TokenizedSplit()
    unfinished = folder.with_name(f"{folder.name}.arrow")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    features = _features(scheme, setup)
    with ArrowWriter(features=features, path=str(unfinished)) as writer:
        for rows in _batches(split):
            table, tokens_in = _tokenize(rows, scheme, setup, found.without_tokens)
            if table.num_rows:
                writer.write_table(table.cast(features.arrow_schema))
                found.add(table, tokens_in)
            progress()
        writer.finalize()
    if found.num_examples:
        datasets.Dataset.from_file(str(unfinished)).save_to_disk(str(folder))
    unfinished.unlink()
    return found


def _features(scheme: LabelScheme, setup: TokenizerSetup) -> Features:
    text = {name: Value("string") for name in ("id", "text", "text_sha256")}
    types = {"token_type_ids": List(Value("int8"))} if setup.has_type_ids else {}
    ids = {"input_ids": List(Value("int32")), **types, "length": Value("int32")}
    return Features({**text, **ids, "label": _LABEL_FEATURES[scheme.problem]})


def _batches(split: Split) -> Iterator[pa.RecordBatch]:
    """The split's rows, front to back."""
    first = 0
    for batch in split.source.table.to_batches(max_chunksize=BATCH_TEXTS):
        start, end = np.searchsorted(split.rows, [first, first + batch.num_rows])
        if end > start:
            yield batch.take(pa.array(split.rows[start:end] - first))
        first += batch.num_rows


def _tokenize(
    rows: pa.RecordBatch, scheme: LabelScheme, setup: TokenizerSetup, without_tokens: list[str]
) -> tuple[pa.Table, Counts]:
    """Rows as they are written, less those without a token, whose ids go to ``without_tokens``; and lengths before cutting [B]."""
    texts = list(zip(rows.column("text").to_pylist(), rows.column("pair").to_pylist(), strict=True))
    inputs = [text if pair is None else (text, pair) for text, pair in texts]
    encodings = setup.tokenizer.backend_tokenizer.encode_batch_fast(inputs, add_special_tokens=True)
    tokens_in = np.array([len(encoding) for encoding in encodings], dtype=np.int32)
    num_special = setup.tokenizer.num_special_tokens_to_add(pair=rows.column("pair").null_count < rows.num_rows)
    full = np.flatnonzero(tokens_in > num_special)
    if len(full) < len(encodings):
        without_tokens += np.delete(np.array(rows.column("id").to_pylist(), dtype=object), full).tolist()
        rows, tokens_in = rows.take(pa.array(full)), tokens_in[full]
    return _table(rows, [texts[at] for at in full], [encodings[at] for at in full], scheme, setup), tokens_in


def _table(
    rows: pa.RecordBatch,
    texts: Sequence[tuple[str, str | None]],
    encodings: Sequence[Any],
    scheme: LabelScheme,
    setup: TokenizerSetup,
) -> pa.Table:
    side, longest = setup.tokenizer.truncation_side, setup.max_length
    tokens = [cut(encoding, longest, side) for encoding in encodings]
    columns = {
        "id": rows.column("id"),
        "text": pa.array([text if pair is None else f"{text}{PAIR_MARK}{pair}" for text, pair in texts], pa.string()),
        "text_sha256": pa.array([digest(*both) for both in texts], pa.string()),
        "input_ids": pa.array([ids for ids, _ in tokens], pa.list_(pa.int32())),
    }
    if setup.has_type_ids:
        columns["token_type_ids"] = pa.array([types for _, types in tokens], pa.list_(pa.int8()))
    columns["length"] = pa.array([len(ids) for ids, _ in tokens], pa.int32())
    columns["label"] = scheme.encode(rows.column("label"))
    return pa.table(columns)


def digest(text: str, pair: str | None) -> str:
    """sha256 over the exact text, or over both texts with a zero byte between them."""
    return hashlib.sha256((text if pair is None else f"{text}\0{pair}").encode()).hexdigest()


def _plain_labels(labels: pa.Array, num_rows: int) -> npt.NDArray[Any]:
    """Labels [B], or [B, C] for several labels."""
    if pa.types.is_list(labels.type):
        return np.array(labels.flatten()).reshape(num_rows, -1)
    return np.array(labels)
