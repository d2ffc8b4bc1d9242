"""Single answers that were judged good or bad: rows to records of each answer, and of one that belongs to another prompt, as tokens.

A row has ``prompt`` and ``completion``, or ``messages`` of which the last one is the answer, and ``label``: true or false.  The answer to
another prompt (``mismatched``) is what a divergence from the start model is estimated by; it is that of the row before, of
those that are encoded together, and the last one's for the first.

Shapes: T tokens of an answer with its prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value

from job.errors import DataError
from job.workers.answer_pairs import without_turns
from job.workers.chat import Rendered
from job.workers.conversations import UnusableConversationError, answers, as_text, unusable
from job.workers.exchanges import Exchange, Exchanges, parse
from job.workers.readers.base import ID_ROLE, Role, Roles, shorten
from job.workers.text_encoding import digest
from job.workers.tokenization import Encoded, TokenizerSetup

SIDES = ("answer", "mismatched")
_LABEL = Role("label_column", "label")
JUDGED_MESSAGES: Roles = {"id": ID_ROLE, "messages": Role("messages_column", "json"), "label": _LABEL}
JUDGED_COMPLETIONS: Roles = {
    "id": ID_ROLE,
    "prompt": Role("prompt_column", "json"),
    "completion": Role("completion_column", "json"),
    "label": _LABEL,
}
_VERDICTS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
_EXAMPLE = pa.schema([("id", pa.string()), ("text", pa.string()), ("text_sha256", pa.string()), ("length", pa.int32())])
FEATURES = Features(
    {
        **{name: Value("string") for name in ("id", "text", "text_sha256")},
        **{f"{side}_ids": List(Value("int32")) for side in SIDES},
        **{f"{side}_targets": List(Value("int8")) for side in SIDES},
        "desirable": Value("bool"),
        "length": Value("int32"),
    }
)
"""``*_targets`` [T] is 1 for a token of the answer; ``length`` is what a record costs: two rows as long as the longer one."""


def parse_judged(row: Mapping[str, Any], place: str) -> tuple[Exchange, bool]:
    """The exchange that ends with the judged answer, and whether it was judged good.

    Raises:
        DataError: naming the place, when it is no such exchange, or the label is neither true nor false.
    """
    exchange = parse({name: value for name, value in row.items() if name not in ("id", "label")}, place)
    if isinstance(exchange, tuple):
        if not exchange[1].strip():
            raise unusable(place, UnusableConversationError("the completion is empty: there is no answer that could be judged"))
    elif not exchange or exchange[-1]["role"] != "assistant":
        raise unusable(
            place, UnusableConversationError("the conversation does not end with the assistant: its last message is what is judged")
        )
    label = row["label"]
    verdict = _VERDICTS.get(label[0].strip().lower()) if label is not None and len(label) == 1 else None
    if verdict is None:
        raise DataError(
            f"{place}: the label '{shorten(', '.join(label or ['nothing']))}' is neither true nor false.",
            "JOB_DATA__LABEL_COLUMN names the column that says of each answer whether it is desirable: true or false, 1 or 0.",
        )
    return exchange, verdict


def with_answer_of(exchange: Exchange, other: Exchange) -> Exchange:
    """The first one's prompt with the other's answer; both are of one kind."""
    if isinstance(exchange, tuple) and isinstance(other, tuple):
        return exchange[0], other[1]
    return [*exchange[:-1], other[-1]]


def partners(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """For each exchange the one before it of its kind, for the first the last."""
    found: dict[int, Exchange] = {}
    for kind in (True, False):
        alike = [at for at, exchange in enumerate(exchanges) if isinstance(exchange, tuple) == kind]
        found |= {at: exchanges[alike[number - 1]] for number, at in enumerate(alike)}
    return [found[at] for at in range(len(exchanges))]


class JudgedEncoder:
    """The `Encoder` of judged answers.  One of which nothing is left after cutting is left out as having nothing to train on.

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

    def _encode(self, rows: Sequence[Mapping[str, Any]]) -> Encoded:
        judged = [parse_judged(row, row["id"]) for row in rows]
        records, examples, tokens_in, nothing = [], [], [], []
        others = partners([exchange for exchange, _ in judged])
        for row, (exchange, desirable), other in zip(rows, judged, others, strict=True):
            sides = [self._render(each, row["id"]) for each in (exchange, with_answer_of(exchange, other))]
            record = {"id": row["id"], "desirable": desirable, **self._cut(sides)}
            if not all(any(record[f"{side}_targets"]) for side in SIDES):
                nothing.append(row["id"])
                continue
            self.stops.update(sides[0].stops)
            text = ("+ " if desirable else "- ") + ("\n".join(exchange) if isinstance(exchange, tuple) else as_text(exchange))
            told = {"text": text, "text_sha256": digest(text)}
            records.append({**record, **told})
            examples.append({"id": row["id"], **told, "length": len(record["answer_ids"])})
            tokens_in.append(len(sides[0].input_ids))
        trained = sum(sum(record["answer_targets"]) for record in records)
        return Encoded(
            pa.Table.from_pylist(records, schema=FEATURES.arrow_schema.remove_metadata()),
            np.array(tokens_in, dtype=np.int32),
            pa.Table.from_pylist(examples, schema=_EXAMPLE),
            without_targets=tuple(nothing),
            counts={"trained_tokens": trained, "desirable_answers": sum(record["desirable"] for record in records)},
        )

    def _render(self, exchange: Exchange, identifier: str) -> Rendered:
        """An exchange with its last answer as the only target."""
        rendered = self._exchanges.render(exchange, identifier)
        return rendered if isinstance(exchange, tuple) else without_turns(rendered, len(answers(exchange)) - 1)

    def _cut(self, sides: Sequence[Rendered]) -> dict[str, Any]:
        longest = self._setup.max_length
        found: dict[str, Any] = {"length": 2 * min(longest, max(len(side.input_ids) for side in sides))}
        for name, side in zip(SIDES, sides, strict=True):
            found |= {f"{name}_ids": side.input_ids[:longest], f"{name}_targets": side.targets[:longest]}
        return found
