"""The tokenized examples of a split: written as records, counted as they were before and after cutting.

What a record holds is the task's business (`Encoder`); that ids, lengths and hashes are kept of every example is ours.

Shapes: B examples of a batch, N of a split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Features
from datasets.arrow_writer import ArrowWriter

from job.workers.splits import Split

BATCH_TEXTS = 1_000
NUM_LONGEST = 5
SHOWN_CHARACTERS = 200
_ABOUT = frozenset({"id", "text", "text_sha256"})
"""Columns that are for people: they tell of an example, and are no part of what is trained on."""

Counts = npt.NDArray[np.int32]
Digests = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class TokenizerSetup:
    """The tokenizer and how it is used: ``max_length`` in tokens, special tokens included; ``config`` is the model's."""

    tokenizer: Any
    max_length: int
    config: Any = None

    @property
    def has_type_ids(self) -> bool:
        return "token_type_ids" in self.tokenizer.model_input_names


@dataclass(frozen=True)
class Encoded:
    """Some examples as an `Encoder` gives them.

    Attributes:
        records: what is written, with at least ``id`` (text) and ``length`` (tokens, int32), and whatever columns the task
            trains on.  A record is what the training loop calls an example; packing makes one of several examples.
        tokens_in: [B] tokens of each example before anything was cut.
        examples: [B] rows ``id``, ``text``, ``text_sha256``, ``length`` (tokens kept) and, where examples have one, ``label``;
            None when they are the records.
        without_tokens: ids of examples that were left out because the tokenizer finds nothing in them.
        without_targets: ids of examples that were left out because nothing in them would be trained on.
        counts: further counts for the ledger, added up over the split.
    """

    records: pa.Table
    tokens_in: Counts
    examples: pa.Table | None = None
    without_tokens: tuple[str, ...] = ()
    without_targets: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


class Encoder(Protocol):
    """Turns the rows of one split into records."""

    @property
    def features(self) -> Features:
        """Columns of the records."""
        ...

    def encode(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Encoded]:
        """Rows [B] of the source (`rows.schema_of` the task's roles), front to back, as records; what is held back comes last."""
        ...


@dataclass
class TokenizedSplit:
    """What tokenizing found, example by example, in the order of the source [N].

    ``tokens_in`` before and ``tokens_kept`` after cutting, both with special tokens; ``digests`` are the first 64 bits of each
    text's sha256; ``labels`` as written; ``without_tokens`` are ids of texts in which the tokenizer found nothing,
    ``without_targets`` of those in which nothing would be trained on.
    """

    tokens_in: list[Counts] = field(default_factory=list)
    tokens_kept: list[Counts] = field(default_factory=list)
    digests: list[Digests] = field(default_factory=list)
    labels: list[npt.NDArray[Any]] = field(default_factory=list)
    identifiers: list[pa.ChunkedArray] = field(default_factory=list)
    without_tokens: list[str] = field(default_factory=list)
    without_targets: list[str] = field(default_factory=list)
    longest: list[dict[str, Any]] = field(default_factory=list)
    hashes: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    num_records: int = 0

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
        """sha256 over everything that is trained on, in order, the same on every machine and for every batch size."""
        together = hashlib.sha256()
        for name in sorted(self.hashes):
            together.update(name.encode() + self.hashes[name].digest())
        return together.hexdigest()

    def add(self, encoded: Encoded) -> None:
        """Take in written records and what is known of their examples."""
        self.without_tokens += encoded.without_tokens
        self.without_targets += encoded.without_targets
        self.counts.update(encoded.counts)
        self.num_records += encoded.records.num_rows
        examples = encoded.records if encoded.examples is None else encoded.examples
        if examples.num_rows:
            self._add_examples(examples, encoded.tokens_in)
        if encoded.records.num_rows:
            for name in sorted(set(encoded.records.column_names) - _ABOUT):
                self._hash(name, encoded.records[name].combine_chunks())

    def _add_examples(self, table: pa.Table, tokens_in: Counts) -> None:
        self.tokens_in.append(tokens_in)
        self.tokens_kept.append(table["length"].to_numpy())
        self.identifiers.append(table["id"])
        self.digests.append(np.array([int(digest[:16], 16) for digest in table["text_sha256"].to_pylist()], dtype=np.uint64))
        if "label" in table.column_names:
            self.labels.append(_plain_labels(table["label"].combine_chunks(), table.num_rows))
        for at in np.argsort(-tokens_in, kind="stable")[:NUM_LONGEST]:
            text = table["text"][int(at)].as_py()[:SHOWN_CHARACTERS]
            self.longest.append({"id": table["id"][int(at)].as_py(), "tokens": int(tokens_in[at]), "text": text})
        self.longest = sorted(self.longest, key=lambda entry: -entry["tokens"])[:NUM_LONGEST]

    def _hash(self, name: str, column: pa.Array) -> None:
        while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = column.flatten()
        together = self.hashes.setdefault(name, hashlib.sha256())
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            together.update("\0".join(column.to_pylist()).encode())
            return
        plain = column.to_numpy(zero_copy_only=False)
        together.update(plain.astype(plain.dtype.newbyteorder("<")).tobytes())


def write_split(split: Split, encoder: Encoder, folder: Path, progress: Callable[[], None]) -> TokenizedSplit:
    """Tokenize a split and write it to ``folder`` as a `datasets.Dataset`.

    Args:
        split: which rows.
        encoder: rows to records.
        folder: where `datasets.load_from_disk` finds it afterwards.
        progress: called after each batch.
    """
    found = TokenizedSplit()
    unfinished = folder.with_name(f"{folder.name}.arrow")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    with ArrowWriter(features=encoder.features, path=str(unfinished)) as writer:
        for encoded in encoder.encode(_batches(split)):
            if encoded.records.num_rows:
                writer.write_table(encoded.records.cast(encoder.features.arrow_schema))
            found.add(encoded)
            progress()
        writer.finalize()
    if found.num_records:
        datasets.Dataset.from_file(str(unfinished)).save_to_disk(str(folder))
    unfinished.unlink()
    return found


def _batches(split: Split) -> Iterator[pa.RecordBatch]:
    """The split's rows, front to back."""
    first = 0
    for batch in split.source.table.to_batches(max_chunksize=BATCH_TEXTS):
        start, end = np.searchsorted(split.rows, [first, first + batch.num_rows])
        if end > start:
            yield batch.take(pa.array(split.rows[start:end] - first))
        first += batch.num_rows


def _plain_labels(labels: pa.Array, num_rows: int) -> npt.NDArray[Any]:
    """Labels [B], or [B, C] for several labels."""
    if pa.types.is_list(labels.type):
        return np.array(labels.flatten()).reshape(num_rows, -1)
    return np.array(labels)
