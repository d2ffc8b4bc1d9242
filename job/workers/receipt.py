"""The decoded receipt: records as text, with the tokens that are trained on marked, for a person to check before it costs anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

OPEN, CLOSE = "⟦", "⟧"
MAX_TOKENS = 400
"""Tokens of a record that are shown."""


@dataclass(frozen=True)
class Receipt:
    """A record: ``title`` says which, ``input_ids`` [T] are read, ``targets`` [T] is 1 for those that have to be predicted."""

    title: str
    input_ids: Sequence[int]
    targets: Sequence[int]


def receipts(tokenizer: Any, records: Sequence[Receipt]) -> list[dict[str, str]]:
    """Records as samples for ledger and report (`ledger.Described`)."""
    return [
        {
            "title": f"{one.title}: {sum(one.targets):,} of {len(one.input_ids):,} tokens are trained on, marked {OPEN}so{CLOSE}",
            "text": marked(tokenizer, one.input_ids[:MAX_TOKENS], one.targets[:MAX_TOKENS])
            + (" …" if len(one.input_ids) > MAX_TOKENS else ""),
        }
        for one in records
    ]


def marked(tokenizer: Any, input_ids: Sequence[int], targets: Sequence[int]) -> str:
    """The text of the tokens, special ones included, with runs of targets between marks."""
    parts, end, shown = [], 0, ""
    for target, run in groupby(targets):
        end += len(list(run))
        upto = tokenizer.decode(list(input_ids[:end]), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        # A decoder may join what lies on both sides of a cut (half a character, a space); then the run stands for itself.
        begins = upto.startswith(shown)
        run_text = upto[len(shown) :] if begins else tokenizer.decode(list(input_ids[end - 1 : end]), skip_special_tokens=False)
        shown = upto
        parts.append(f"{OPEN}{run_text}{CLOSE}" if target else run_text)
    return "".join(parts)
