"""Sentences that come as words to token ids, with the label of every token and the first token of every word.

Shapes: B sentences of a batch, W words of one, T tokens of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value
from tokenizers import pre_tokenizers

from job.workers.alignment import IGNORED, UNSEEN, first_pieces, inside_labels, label_pieces
from job.workers.cutting import kept_positions
from job.workers.tagging import Tagging
from job.workers.text_encoding import digest
from job.workers.tokenization import Encoded, TokenizerSetup


def mark_word_starts(tokenizer: Any) -> None:
    """Let a byte-level tokenizer put a space before each given word, as it saw words in running text when it was trained.

    The tokenizer is saved with the model, so its user gets the same pieces from the same words.
    """
    found = tokenizer.backend_tokenizer.pre_tokenizer
    if isinstance(found, pre_tokenizers.ByteLevel):
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
            add_prefix_space=True, trim_offsets=found.trim_offsets, use_regex=found.use_regex
        )
        tokenizer.add_prefix_space = True
        tokenizer.init_kwargs["add_prefix_space"] = True


class WordEncoder:
    """The `Encoder` of tagged words.

    Records: ``input_ids`` and, where the model wants them, ``token_type_ids`` [T], ``labels`` [T] (`alignment.IGNORED` where
    nothing is trained on), ``starts`` [W] (each word's first token, `alignment.UNSEEN` where the sentence was cut before it or
    the tokenizer finds nothing in it) and ``tags`` [W].
    """

    def __init__(self, setup: TokenizerSetup, tagging: Tagging, *, all_pieces: bool) -> None:
        self._setup = setup
        self._tagging = tagging
        self._index = tagging.index()
        self._inside = inside_labels(tagging.names) if all_pieces else None

    @property
    def features(self) -> Features:
        text = {name: Value("string") for name in ("id", "text", "text_sha256")}
        types = {"token_type_ids": List(Value("int8"))} if self._setup.has_type_ids else {}
        ids = {name: List(Value("int32")) for name in ("input_ids", "labels", "starts", "tags")}
        return Features({**text, **ids, **types, "length": Value("int32")})

    def encode(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Encoded]:
        return (self._encode(rows) for rows in batches)

    def _encode(self, rows: pa.RecordBatch) -> Encoded:
        sentences = rows.column("words").to_pylist()
        encodings = self._setup.tokenizer.backend_tokenizer.encode_batch(sentences, is_pretokenized=True, add_special_tokens=True)
        found = np.array([any(word is not None for word in encoding.word_ids) for encoding in encodings], dtype=bool)
        without = rows.column("id").filter(pa.array(~found)).to_pylist()
        kept = np.flatnonzero(found)
        records = [
            self._record(sentences[at], self._tagging.read(tags), encodings[at])
            for at, tags in zip(kept, rows.column("label").take(pa.array(kept)).to_pylist(), strict=True)
        ]
        tokens_in = np.array([len(encodings[at]) for at in kept], dtype=np.int32)
        schema = self.features.arrow_schema
        identified = [
            {"id": one, **record} for one, record in zip(rows.column("id").take(pa.array(kept)).to_pylist(), records, strict=True)
        ]
        table = pa.Table.from_pylist(identified, schema=schema.remove_metadata())
        return Encoded(table, tokens_in, without_tokens=tuple(without), counts=_counts(records))

    def _record(self, words: Sequence[str], tags: Sequence[str], encoding: Any) -> dict[str, Any]:
        kept = kept_positions(encoding, self._setup.max_length, self._setup.tokenizer.truncation_side)
        word_ids = [encoding.word_ids[at] for at in kept]
        # A word of which cutting from the left took the beginning is not recognised by what is left of it.
        torn = {encoding.word_ids[kept[at]] for at in first_pieces(word_ids) if _torn(encoding.word_ids, kept[at])}
        word_ids = [None if word in torn else word for word in word_ids]
        numbers = [self._index[tag] for tag in tags]
        starts = [UNSEEN] * len(words)
        for at in first_pieces(word_ids):
            word = word_ids[at]
            if word is not None:
                starts[word] = at
        text = " ".join(words)
        types = {"token_type_ids": [encoding.type_ids[at] for at in kept]} if self._setup.has_type_ids else {}
        return {
            "text": text,
            "text_sha256": digest("\0".join(words)),
            "input_ids": [encoding.ids[at] for at in kept],
            **types,
            "labels": label_pieces(word_ids, numbers, self._inside),
            "starts": starts,
            "tags": numbers,
            "length": len(kept),
        }


def _torn(word_ids: Sequence[int | None], at: int) -> bool:
    """Whether a word has a piece before the one at this place."""
    return at > 0 and word_ids[at - 1] is not None and word_ids[at - 1] == word_ids[at]


def _counts(records: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {
        "words": sum(len(record["tags"]) for record in records),
        "words_cut": sum(record["starts"].count(UNSEEN) for record in records),
        "trained_tokens": sum(len(record["labels"]) - record["labels"].count(IGNORED) for record in records),
    }
