"""Two answers to one prompt, of which one is preferred: rows to records of both as tokens.

A row has ``chosen`` and ``rejected``, and perhaps ``prompt``: texts, or lists of messages.  Without a prompt, lists of messages
share one, as far as they are alike; of texts everything counts as the answer.

Shapes: T tokens of an answer with its prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value

from job.workers.chat import Rendered
from job.workers.conversations import UnusableConversationError, answers, as_text, conversation, unusable
from job.workers.exchanges import Exchange, Exchanges
from job.workers.readers.base import ID_ROLE, Role, Roles
from job.workers.text_encoding import digest
from job.workers.tokenization import Encoded, TokenizerSetup

SIDES = ("chosen", "rejected")
PAIRS: Roles = {
    "id": ID_ROLE,
    "prompt": Role("prompt_column", "json"),
    "chosen": Role("chosen_column", "json"),
    "rejected": Role("rejected_column", "json"),
}
_EXAMPLE = pa.schema([("id", pa.string()), ("text", pa.string()), ("text_sha256", pa.string()), ("length", pa.int32())])
_IDS = List(Value("int32"))
_FLAGS = List(Value("int8"))
FEATURES = Features(
    {
        **{name: Value("string") for name in ("id", "text", "text_sha256")},
        **{f"{side}_ids": _IDS for side in SIDES},
        **{f"{side}_targets": _FLAGS for side in SIDES},
        "length": Value("int32"),
    }
)
"""``*_targets`` [T] is 1 for a token of the answer; ``length`` is what the pair costs: two rows as long as the longer one."""


def parse_pair(row: Mapping[str, Any], place: str) -> tuple[Exchange, Exchange, int]:
    """The chosen and the rejected exchange, and how many of their assistant's turns belong to the prompt.

    Raises:
        DataError: naming the place, when they are no exchanges of one kind.
    """
    try:
        chosen, rejected = (conversation(**as_exchange(row, side)) for side in SIDES)
        for side, exchange in zip(SIDES, (chosen, rejected), strict=True):
            _check_answer(side, exchange)
    except UnusableConversationError as error:
        raise unusable(place, error) from error
    asked = json.loads(_prompt(row))
    return chosen, rejected, len(answers(asked)) if isinstance(asked, list) else 0


def as_exchange(row: Mapping[str, Any], side: str) -> dict[str, str]:
    """One side of a pair as ``prompt`` and ``completion``, both JSON, for `exchanges.parse`."""
    before = _prompt(row)
    return {"prompt": before, "completion": _rest(row[side], before)}


def _check_answer(side: str, exchange: Exchange) -> None:
    if isinstance(exchange, tuple):
        if not exchange[1].strip():
            raise UnusableConversationError(f"the {side} answer is empty: the model would learn to say nothing")
    elif not exchange or exchange[-1]["role"] != "assistant":
        raise UnusableConversationError(f"the {side} conversation does not end with the assistant")


def _prompt(row: Mapping[str, Any]) -> str:
    """What is asked, as JSON: the row's own prompt, or the messages that both answers begin with."""
    if row.get("prompt") is not None:
        return str(row["prompt"])
    chosen, rejected = (json.loads(row[side]) for side in SIDES)
    if isinstance(chosen, list) and isinstance(rejected, list):
        alike = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False))]
        # An answer of its own is left to each side, also where both are the same conversation.
        shared = alike[: max(0, min(len(chosen), len(rejected)) - 1)]
        return json.dumps(shared, ensure_ascii=False)
    return json.dumps("" if isinstance(chosen, str) else [])


def _rest(answer: str, before: str) -> str:
    """An answer without the prompt that a list of messages may repeat."""
    given, asked = json.loads(answer), json.loads(before)
    if isinstance(given, list) and isinstance(asked, list) and given[: len(asked)] == asked:
        return json.dumps(given[len(asked) :], ensure_ascii=False)
    return answer


class PairEncoder:
    """The `Encoder` of answer pairs.

    A pair is left out as having nothing to train on when both answers are the same, or nothing is left of one after cutting.

    Args:
        setup: tokenizer and longest input; what is longer is cut at the right.
        exchanges: renders.
    """

    features = FEATURES

    def __init__(self, setup: TokenizerSetup, exchanges: Exchanges) -> None:
        self._setup = setup
        self._exchanges = exchanges
        self.stops: set[int] = set()

    def encode(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Encoded]:
        return (self._encode(rows.to_pylist()) for rows in batches)

    def render(self, row: Mapping[str, Any]) -> tuple[Rendered, Rendered]:
        """Both answers with their prompt, the prompt's own turns of the assistant taken out of the targets."""
        chosen, rejected, turns_before = parse_pair(row, row["id"])
        one, other = (self._exchanges.render(exchange, row["id"]) for exchange in (chosen, rejected))
        return without_turns(one, turns_before), without_turns(other, turns_before)

    def _encode(self, rows: Sequence[Mapping[str, Any]]) -> Encoded:
        records, examples, tokens_in, nothing = [], [], [], []
        for row in rows:
            sides = self.render(row)
            record = {"id": row["id"], **self._cut(sides)}
            if record["chosen_ids"] == record["rejected_ids"] or not all(any(record[f"{side}_targets"]) for side in SIDES):
                nothing.append(row["id"])
                continue
            self.stops.update(*(side.stops for side in sides))
            text = _shown(row)
            kept = sum(len(record[f"{side}_ids"]) for side in SIDES)
            told = {"text": text, "text_sha256": digest(text)}
            records.append({**record, **told})
            examples.append({"id": row["id"], **told, "length": kept})
            tokens_in.append(sum(len(side.input_ids) for side in sides))
        trained = sum(sum(record[f"{side}_targets"]) for record in records for side in SIDES)
        return Encoded(
            pa.Table.from_pylist(records, schema=FEATURES.arrow_schema.remove_metadata()),
            np.array(tokens_in, dtype=np.int32),
            pa.Table.from_pylist(examples, schema=_EXAMPLE),
            without_targets=tuple(nothing),
            counts={"trained_tokens": trained},
        )

    def _cut(self, sides: tuple[Rendered, Rendered]) -> dict[str, Any]:
        longest = self._setup.max_length
        found: dict[str, Any] = {"length": 2 * min(longest, max(len(side.input_ids) for side in sides))}
        for name, side in zip(SIDES, sides, strict=True):
            found |= {f"{name}_ids": side.input_ids[:longest], f"{name}_targets": side.targets[:longest]}
        return found


def without_turns(rendered: Rendered, turns: int) -> Rendered:
    """The exchange with the first runs of targets taken out."""
    targets, run, before = list(rendered.targets), 0, 0
    for at, target in enumerate(rendered.targets):
        run += target and not before
        targets[at] = int(bool(target) and run > turns)
        before = target
    return Rendered(rendered.text, rendered.input_ids, targets, rendered.stops)


def _shown(row: Mapping[str, Any]) -> str:
    """A pair as a person is shown it."""
    chosen, rejected, _ = parse_pair(row, row["id"])
    if isinstance(chosen, tuple):
        return f"{chosen[0]}\n+ {chosen[1]}\n- {rejected[1]}"
    return f"+ {as_text(chosen)}\n- {as_text(rejected)}"  # type: ignore[arg-type]
