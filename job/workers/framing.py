"""Raw texts to windows of tokens, with the special tokens that stand around them; no token of a text is lost."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from job.workers.packing import Piece, windows
from job.workers.token_records import TokenizedExample
from job.workers.tokenization import TokenizerSetup


class Framing:
    """Tokenizes documents.

    Args:
        setup: tokenizer and longest window.
        begin: special tokens before a document.
        end: special tokens after it.
        each_window: whether they stand around each window, in which all other tokens are targets.  Otherwise they stand around
            the document as a whole; windows then overlap by one token, because a window's first one can only be read.
    """

    def __init__(self, setup: TokenizerSetup, begin: list[int], end: list[int], *, each_window: bool) -> None:
        self._setup = setup
        self._begin = begin
        self._end = end
        self._cut = self._around_windows if each_window else self._around_document

    def tokenize(self, rows: pa.RecordBatch) -> list[TokenizedExample]:
        """Documents (columns ``id`` and ``text``) as windows."""
        texts = rows.column("text").to_pylist()
        encodings = self._setup.tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
        named = zip(rows.column("id").to_pylist(), texts, encodings, strict=True)
        return [self._cut(identifier, text, encoding) for identifier, text, encoding in named]

    def _around_document(self, identifier: str, text: str, encoding: Any) -> TokenizedExample:
        if not encoding.ids:
            return TokenizedExample(identifier, text, 0, [])
        ids = [*self._begin, *encoding.ids, *self._end]
        ends = [0] * len(self._begin) + [stop for _, stop in encoding.offsets] + [len(text)] * len(self._end)
        pieces: list[Piece] = []
        counted = 0 if self._begin else ends[0]
        for number, (first, last) in enumerate(windows(len(ids), self._setup.max_length, overlap=1), 1):
            stop = len(text) if last == len(ids) else max(counted, ends[last - 1])
            targets = [0] + [1] * (last - first - 1)
            pieces.append(Piece(_name(identifier, number), ids[first:last], targets, len(text[counted:stop].encode())))
            counted = stop
        return TokenizedExample(identifier, text, len(ids), pieces)

    def _around_windows(self, identifier: str, text: str, encoding: Any) -> TokenizedExample:
        if not encoding.ids:
            return TokenizedExample(identifier, text, 0, [])
        room = self._setup.max_length - len(self._begin) - len(self._end)
        pieces = []
        for number, (first, last) in enumerate(windows(len(encoding.ids), room, overlap=0), 1):
            ids = [*self._begin, *encoding.ids[first:last], *self._end]
            targets = [0] * len(self._begin) + [1] * (last - first) + [0] * len(self._end)
            pieces.append(Piece(_name(identifier, number), ids, targets))
        return TokenizedExample(identifier, text, sum(map(len, pieces)), pieces)


def special_frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer itself puts before and after a text."""
    inside = tokenizer("a", add_special_tokens=False)["input_ids"]
    around = tokenizer("a")["input_ids"]
    at = next(at for at in range(len(around)) if around[at : at + len(inside)] == inside)
    return around[:at], around[at + len(inside) :]


def _name(identifier: str, number: int) -> str:
    return identifier if number == 1 else f"{identifier}#{number}"
