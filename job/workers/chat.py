"""Conversations rendered by a chat template, and which of their tokens are the assistant's.

Where a template marks the assistant's text itself (``{% generation %}``) these marks are taken.  Otherwise the places are found by
rendering the conversation up to each answer, with and without it.  Either way the result is checked, for every conversation:
nothing that was given may be missing, an answer begins with its text and ends with a special token, and no token may
lie on both sides of a border.  What cannot be shown to be right is an error.

Shapes: T tokens of a conversation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from job.workers.conversations import Message, answers

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
_AROUND = 40
"""Characters of each of two texts that are shown where they part."""
Span = tuple[int, int]
"""First character and the one after the last."""


class TemplateFaultError(Exception):
    """A template cannot be trusted with a conversation; the text says what is wrong and shows it."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as tokens: ``targets`` [T] is 1 for each token of the assistant's, its end of turn included."""

    text: str
    input_ids: list[int]
    targets: list[int]
    stops: frozenset[int] = frozenset()
    """Tokens that end the assistant's turns."""


class ChatTemplate:
    """A tokenizer's chat template.

    Args:
        tokenizer: with a chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._source: str = tokenizer.chat_template
        self.marks = bool(_GENERATION.search(self._source))
        added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._special = added | set(tokenizer.all_special_ids)

    def text(self, messages: Sequence[Message], *, prompt: bool = False) -> str:
        """The conversation as text; with ``prompt`` it ends where the assistant's answer begins.

        Raises:
            TemplateFaultError: when the template refuses the conversation.
        """
        return self._render(messages, prompt=prompt, marks=False)[0]

    def render(self, messages: Sequence[Message]) -> Rendered:
        """The conversation as tokens, and which are the assistant's.

        Raises:
            TemplateFaultError: when that cannot be told, or something is missing or doubled.
        """
        text, marked = self._render(messages, prompt=False, marks=self.marks)
        _check_all_there(text, messages)
        wanted = answers(messages)
        spans = marked if self.marks else [self._span(text, messages, at) for at in wanted]
        if len(spans) != len(wanted):
            raise TemplateFaultError(
                f"its generation marks stand around {len(spans)} texts, and the assistant speaks {len(wanted)} times"
            )
        encoding = self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        self._check_beginning(encoding.ids)
        targets, stops = [0] * len(encoding.ids), set()
        for span, at in zip(spans, wanted, strict=True):
            first, last = self._turn(text, span, messages[at]["content"].strip(), encoding)
            targets[first : last + 1] = [1] * (last + 1 - first)
            stops.add(encoding.ids[last])
        return Rendered(text, encoding.ids, targets, frozenset(stops))

    def _render(self, messages: Sequence[Message], *, prompt: bool, marks: bool) -> tuple[str, list[Span]]:
        try:
            texts, spans = render_jinja_template(
                [list(messages)],
                chat_template=self._source,
                add_generation_prompt=prompt,
                return_assistant_tokens_mask=marks,
                **self._tokenizer.special_tokens_map,
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise TemplateFaultError(
                f"it refuses the conversation: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            ) from error
        return texts[0], [(first, last) for first, last in spans[0]] if marks else []

    def _span(self, text: str, messages: Sequence[Message], at: int) -> Span:
        """Characters of the answer at this place, by what the template makes of the conversation before it and with it."""
        before = self.text(messages[:at], prompt=True)
        after = self.text(messages[: at + 1])
        for part, what in ((before, "before the assistant's turn"), (after, "up to the assistant's turn")):
            if not text.startswith(part):
                raise TemplateFaultError(
                    f"it renders the conversation {what} otherwise when more follows: {_difference(part, text)}"
                )
        if len(after) <= len(before):
            raise TemplateFaultError(f"the assistant's turn adds nothing to the prompt before it: {_difference(before, after)}")
        return len(before), len(after)

    def _turn(self, text: str, span: Span, content: str, encoding: Any) -> tuple[int, int]:
        """First and last token of an answer: from its text to the special token that ends the turn."""
        body = text[span[0] : span[1]]
        if not body.lstrip().startswith(content):
            raise TemplateFaultError(f"the assistant's turn does not begin with what it says, but with {body[:_AROUND]!r}")
        spoken = span[0] + len(body) - len(body.lstrip()) + len(content)
        inside = [at for at, (first, last) in enumerate(encoding.offsets) if first < span[1] and last > span[0]]
        stop = next((at for at in inside if encoding.ids[at] in self._special and encoding.offsets[at][0] >= spoken), None)
        if stop is None or text[spoken : encoding.offsets[stop][0]].strip():
            raise TemplateFaultError(
                f"it does not end the assistant's turn with a special token (what follows the answer is {text[spoken : span[1]][:_AROUND]!r}): "
                "the model would never learn to stop"
            )
        if encoding.offsets[inside[0]][0] < span[0]:
            token = self._tokenizer.convert_ids_to_tokens(encoding.ids[inside[0]])
            raise TemplateFaultError(f"the token {token!r} lies half in the prompt and half in the answer")
        return inside[0], stop

    def _check_beginning(self, ids: list[int]) -> None:
        begin = self._tokenizer.bos_token_id
        if begin is None or begin == self._tokenizer.eos_token_id or ids.count(begin) < 2:
            return
        if ids[:2] == [begin, begin]:
            shown = self._tokenizer.convert_ids_to_tokens(ids[:6])
            raise TemplateFaultError(f"the conversation begins with the token {self._tokenizer.bos_token!r} twice: {shown}")


def _check_all_there(text: str, messages: Sequence[Message]) -> None:
    """Everything that was said stands in the text, in its order."""
    cursor = 0
    for number, message in enumerate(messages, 1):
        content = message["content"].strip()
        found = text.find(content, cursor)
        if found < 0:
            raise TemplateFaultError(
                f"it drops or changes message {number} ({message['role']}): {content[:_AROUND]!r} is not in {text[cursor : cursor + 2 * _AROUND]!r}"
            )
        cursor = found + len(content)


def _difference(one: str, other: str) -> str:
    at = next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), min(len(one), len(other)))
    begin = max(0, at - _AROUND // 2)
    return f"at character {at}, {one[begin : begin + _AROUND]!r} against {other[begin : begin + _AROUND]!r}"
