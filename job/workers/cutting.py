"""Cutting a tokenized text to the longest input: which tokens go, and that special tokens stay.

The rule is the tokenizers library's own ``longest_first``; it stands here because running the tokenizer twice, once to count
and once to cut, would cost twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Side = Literal["right", "left"]
TokenIds = list[int]


def cut(encoding: Any, max_length: int, side: Side) -> tuple[TokenIds, TokenIds]:
    """Token ids and token type ids, at most ``max_length`` of each.

    Args:
        encoding: a `tokenizers.Encoding` that was not truncated.
        max_length: longest input in tokens, special tokens included, more than the special tokens alone.
        side: the end of a text from which tokens are taken.
    """
    kept = kept_positions(encoding, max_length, side)
    ids, types = encoding.ids, encoding.type_ids
    return [ids[at] for at in kept], [types[at] for at in kept]


def kept_positions(encoding: Any, max_length: int, side: Side) -> Sequence[int]:
    """Positions of the tokens that `cut` keeps, ascending; arguments as there."""
    if len(encoding) <= max_length:
        return range(len(encoding))
    sequences = encoding.sequence_ids
    positions = [[at for at, sequence in enumerate(sequences) if sequence == text] for text in (0, 1)]
    num_special = len(encoding) - len(positions[0]) - len(positions[1])
    lengths = share(len(positions[0]), len(positions[1]), max_length - num_special)
    dropped: set[int] = set()
    for text, length in zip(positions, lengths, strict=True):
        dropped.update(text[length:] if side == "right" else text[: len(text) - length])
    return [at for at in range(len(encoding)) if at not in dropped]


def share(first: int, second: int, room: int) -> tuple[int, int]:
    """Tokens left to each of two texts in ``room`` tokens: the longer one gives way until both are equally long.

    When both have to give way, the one that is not the shorter gets the odd token.
    """
    if first + second <= room:
        return first, second
    shorter, longer = sorted((first, second))
    longer = max(shorter, room - shorter) if shorter <= room else shorter
    if shorter + longer > room:
        shorter, longer = room // 2, room - room // 2
    return (longer, shorter) if first > second else (shorter, longer)
