"""Conversations as they are given: a list of messages, or a prompt and its completion; checked before anything is rendered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from job.errors import DataError
from job.workers.readers.base import shorten

Message = dict[str, str]
ROLES = ("system", "user", "assistant", "tool")


class UnusableConversationError(Exception):
    """A conversation is not one; the text says why, for a message that also says where."""


def messages_of(value: Any) -> list[Message]:
    """A list of messages, each with a role and a text.

    Raises:
        UnusableConversationError: saying which message is wrong and how.
    """
    if not isinstance(value, list):
        raise UnusableConversationError(f"{_kind(value)} where a list of messages was expected")
    found = [_message(one, number) for number, one in enumerate(value, 1)]
    systems = [number for number, message in enumerate(found, 1) if message["role"] == "system"]
    if systems and systems != [1]:
        raise UnusableConversationError(f"message {systems[-1]} has the role 'system', which only the first one can have")
    return found


def conversation(prompt: str, completion: str) -> list[Message] | tuple[str, str]:
    """A prompt and its completion, from JSON text: two texts, or two lists of messages joined to one.

    Raises:
        UnusableConversationError: when they are neither.
    """
    asked, answer = json.loads(prompt), json.loads(completion)
    if isinstance(asked, str) and isinstance(answer, str):
        return asked, answer
    if isinstance(asked, list) and isinstance(answer, list):
        return messages_of([*asked, *answer])
    raise UnusableConversationError(
        f"the prompt is {_kind(asked)} and the completion {_kind(answer)}: both have to be texts, or both lists"
    )


def answers(messages: Sequence[Message]) -> list[int]:
    """Places of the assistant's messages."""
    return [at for at, message in enumerate(messages) if message["role"] == "assistant"]


def as_text(messages: Sequence[Message]) -> str:
    """A conversation for a person, and for finding the same one twice."""
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)


def unusable(place: str, error: Exception) -> DataError:
    """The error for a row that holds no conversation."""
    return DataError(
        f"{place}: {error}.",
        'A conversation is a list of objects such as {"role": "user", "content": "..."}, with the roles '
        f"{', '.join(ROLES)}; JOB_DATA__MESSAGES_COLUMN names its column, JOB_DATA__PROMPT_COLUMN and JOB_DATA__COMPLETION_COLUMN those of pairs.",
    )


def _message(value: Any, number: int) -> Message:
    if not isinstance(value, dict):
        raise UnusableConversationError(f"message {number} is {_kind(value)} where an object was expected")
    role, content = value.get("role"), value.get("content")
    if role is None and "from" in value:
        raise UnusableConversationError(
            f"message {number} has 'from' and 'value' (ShareGPT's names) where 'role' and 'content' were expected"
        )
    if role not in ROLES:
        shown = f"the role '{shorten(role)}'" if isinstance(role, str) else "no role" if role is None else "a role that is no text"
        raise UnusableConversationError(f"message {number} has {shown}")
    if value.get("tool_calls"):
        raise UnusableConversationError(f"message {number} has tool_calls, which cannot be trained on")
    if not isinstance(content, str):
        raise UnusableConversationError(f"message {number} ({role}) has {_kind(content)} as content where a text was expected")
    if role == "assistant" and not content.strip():
        raise UnusableConversationError(f"message {number} (assistant) is empty: the model would learn to say nothing")
    return {"role": role, "content": content}


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(type(value), "nothing")
