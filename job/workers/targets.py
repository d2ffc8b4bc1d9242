"""Texts with the target that answers each: both tokenized, each cut to a longest length of its own.

A target that is cut loses its end-of-text token with the rest: with one in its middle the model would learn to stop there.

Shapes: T tokens of a text, U tokens of its target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value

from job.errors import SettingsError
from job.settings.root import Settings
from job.workers.cutting import cut
from job.workers.framing import special_frame
from job.workers.model import DEFAULT_MAX_LENGTH
from job.workers.readers.base import ID_ROLE, Role, Roles
from job.workers.text_encoding import digest
from job.workers.tokenization import Encoded, TokenizerSetup

TARGETED: Roles = {"id": ID_ROLE, "text": Role("text_column"), "target": Role("target_column")}
FEATURES = Features(
    {
        **{name: Value("string") for name in ("id", "text", "text_sha256", "target")},
        "input_ids": List(Value("int32")),
        "target_ids": List(Value("int32")),
        "length": Value("int32"),
    }
)
"""``text`` with its prefix, ``target`` whole, ``input_ids`` [T] and ``target_ids`` [U] as far as they go; ``length`` is T + U."""
_POSITIONS = ("max_decoder_position_embeddings", "max_position_embeddings")


@dataclass(frozen=True)
class TargetFrame:
    """How targets are made.

    ``begin`` and ``end`` are the special tokens around one; ``longest`` counts the tokens of a target, with them; ``most_written`` those
    that the model may write of one.
    """

    begin: list[int]
    end: list[int]
    longest: int
    most_written: int


def target_frame(settings: Settings, setup: TokenizerSetup) -> TargetFrame:
    """The frame of the model's targets: what its tokenizer puts around one, closed by the end-of-text token in any case.

    Raises:
        SettingsError: when the model writes no targets, or the longest target that is asked for does not fit.
    """
    config, tokenizer = setup.config, setup.tokenizer
    if not getattr(config, "is_encoder_decoder", False):
        raise SettingsError(
            f"JOB_TASK=seq2seq trains an encoder with a decoder, and models of type {config.model_type!r} are none.",
            "Point JOB_MODEL__URI at a T5, BART or Marian model and its like, or set JOB_TASK=sft for a model that continues texts.",
        )
    closing = tokenizer.eos_token_id
    if closing is None:
        raise SettingsError(
            "The model's tokenizer has no end-of-text token, so the model could not learn to end a target.",
            "Choose a model whose tokenizer has one.",
        )
    # Some tokenizers frame a target otherwise than a text, by the language that is translated into.
    begin, end = special_frame(lambda text, **how: tokenizer(text_target=text, **how))
    end = end if closing in end else [*end, closing]
    positions = next((found for name in _POSITIONS if isinstance(found := getattr(config, name, None), int)), None)
    longest = settings.train.max_target_length or positions or DEFAULT_MAX_LENGTH
    if positions is not None and longest > positions:
        raise SettingsError(
            f"JOB_TRAIN__MAX_TARGET_LENGTH asks for {longest} tokens, and the model's decoder has positions for {positions}.",
            f"Set JOB_TRAIN__MAX_TARGET_LENGTH to {positions} or less, or leave it out.",
        )
    if longest <= len(begin) + len(end):
        raise SettingsError(
            f"JOB_TRAIN__MAX_TARGET_LENGTH allows {longest} tokens, and this tokenizer's special tokens alone take {len(begin) + len(end)}.",
            f"Set JOB_TRAIN__MAX_TARGET_LENGTH to more than {len(begin) + len(end)}.",
        )
    most = settings.eval.max_new_tokens
    return TargetFrame(begin, end, longest, most if positions is None else min(most, positions))


class TargetEncoder:
    """The `Encoder` of texts with targets; a row without a token in its text or its target is left out.

    Args:
        setup: tokenizer and longest text.
        frame: of the targets.
        prefix: what stands before every text, its space included.
    """

    features = FEATURES

    def __init__(self, setup: TokenizerSetup, frame: TargetFrame, prefix: str) -> None:
        self._setup = setup
        self._frame = frame
        self._prefix = prefix
        self.cut_targets: list[str] = []
        """Ids of examples whose target lost its end."""

    def encode(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Encoded]:
        return (self._encode(rows) for rows in batches)

    def _encode(self, rows: pa.RecordBatch) -> Encoded:
        backend = self._setup.tokenizer.backend_tokenizer
        texts = [self._prefix + text for text in rows.column("text").to_pylist()]
        wanted = rows.column("target").to_pylist()
        inputs = backend.encode_batch(texts, add_special_tokens=True)
        targets = backend.encode_batch(wanted, add_special_tokens=False)
        records: list[dict[str, Any]] = []
        tokens_in, empty, nothing, counts = list[int](), list[str](), list[str](), Counter[str]()
        for identifier, text, target, one, other in zip(rows.column("id").to_pylist(), texts, wanted, inputs, targets, strict=True):
            if not any(stop > len(self._prefix) for _, stop in one.offsets):
                empty.append(identifier)
                continue
            if not other.ids:
                nothing.append(identifier)
                continue
            ids, whole = self._tokens(one), [*self._frame.begin, *other.ids, *self._frame.end]
            kept = whole[: self._frame.longest]
            told = {"id": identifier, "text": text, "text_sha256": digest(text), "target": target}
            records.append({**told, "input_ids": ids, "target_ids": kept, "length": len(ids) + len(kept)})
            tokens_in.append(len(one) + len(whole))
            self.cut_targets += [identifier] if len(kept) < len(whole) else []
            counts.update(
                input_tokens=len(ids),
                input_tokens_cut=len(one) - len(ids),
                target_tokens_cut=len(whole) - len(kept),
                targets_cut=int(len(kept) < len(whole)),
                trained_tokens=len(kept),
            )
        table = pa.Table.from_pylist(records, schema=FEATURES.arrow_schema.remove_metadata())
        kept_in = np.array(tokens_in, dtype=np.int32)
        return Encoded(table, kept_in, without_tokens=tuple(empty), without_targets=tuple(nothing), counts=counts)

    def _tokens(self, encoding: Any) -> list[int]:
        return cut(encoding, self._setup.max_length, self._setup.tokenizer.truncation_side)[0]
