"""What is asked and what is answered, as tokens: conversations by a chat template, plain pairs one after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from job.errors import DataError, SettingsError
from job.settings.root import Settings
from job.workers.chat import ChatTemplate, Rendered, TemplateFaultError
from job.workers.conversations import Message, UnusableConversationError, answers, conversation, messages_of, unusable
from job.workers.framing import special_frame

_TEMPLATE_REMEDY = (
    "Give a chat template that renders every message and ends each turn with a special token (JOB_DATA__CHAT_TEMPLATE_FILE); "
    "one with {% generation %} marks says itself what is the assistant's."
)
Exchange = list[Message] | tuple[str, str]
"""A conversation, or a prompt and its completion as plain texts."""


def parse(row: Mapping[str, Any], place: str) -> Exchange:
    """A row's ``messages``, or its ``prompt`` and ``completion``, all JSON text.

    Raises:
        DataError: naming the place, when they are no conversation.
    """
    try:
        if "prompt" in row:
            return conversation(row["prompt"], row["completion"])
        return messages_of(json.loads(row["messages"]))
    except UnusableConversationError as error:
        raise unusable(place, error) from error


class Exchanges:
    """Renders exchanges with a tokenizer, which gets the chat template of the settings where they name one."""

    def __init__(self, settings: Settings, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._given = settings.data.chat_template is not None
        if self._given:
            tokenizer.chat_template = settings.data.chat_template
        self._template: ChatTemplate | None = None

    def notes(self, row: Mapping[str, Any], place: str) -> list[str]:
        """Sentences about how exchanges like this first one are rendered.

        Raises:
            SettingsError: when the tokenizer lacks what they need.
        """
        if isinstance(parse(row, place), tuple):
            return [f"Prompts and completions are plain texts; each completion is closed by {self._closing()[0]!r}."]
        how = "its generation marks" if self._chat().marks else "rendering the conversation up to each answer"
        whose = "the settings'" if self._given else "the tokenizer's own"
        return [f"The chat template is {whose}; the assistant's tokens are found by {how}."]

    def render(self, exchange: Exchange, identifier: str) -> Rendered:
        """An exchange as tokens, and which are to be learned.

        Raises:
            DataError: when the chat template cannot be trusted with it.
        """
        if isinstance(exchange, tuple):
            return self._pair(*exchange)
        if not answers(exchange):
            return Rendered("", [0], [0])  # nothing is the assistant's: counted as nothing to train on
        try:
            return self._chat().render(exchange)
        except TemplateFaultError as error:
            raise DataError(
                f"The chat template cannot be trained on with conversation {identifier}: {error}.", _TEMPLATE_REMEDY
            ) from error

    def _pair(self, asked: str, answer: str) -> Rendered:
        begin, _ = special_frame(self._tokenizer)
        before, after = (self._tokenizer(text, add_special_tokens=False)["input_ids"] for text in (asked, answer))
        _, closing = self._closing()
        targets = [0] * (len(begin) + len(before)) + [1] * (len(after) + 1)
        return Rendered(asked + answer, [*begin, *before, *after, closing], targets, frozenset([closing]))

    def _closing(self) -> tuple[str, int]:
        if self._tokenizer.eos_token_id is None:
            raise SettingsError(
                "The model's tokenizer has no end-of-text token, so a completion could not be closed.",
                "Choose a model whose tokenizer has one, or give conversations and a chat template (JOB_DATA__CHAT_TEMPLATE_FILE).",
            )
        return self._tokenizer.eos_token, self._tokenizer.eos_token_id

    def _chat(self) -> ChatTemplate:
        if self._template is None:
            if not isinstance(self._tokenizer.chat_template, str):
                raise SettingsError(
                    "The model's tokenizer has no chat template, and the data holds conversations.",
                    "Give one in JOB_DATA__CHAT_TEMPLATE_FILE, or plain texts in JOB_DATA__PROMPT_COLUMN and JOB_DATA__COMPLETION_COLUMN.",
                )
            self._template = ChatTemplate(self._tokenizer)
        return self._template
