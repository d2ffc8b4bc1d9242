"""What the assistant says is trained, and nothing else: over random conversations and chat templates of well-known families."""

import functools
import random

import pytest

from job.workers.chat import ChatTemplate
from tests.support import language

NUM_CONVERSATIONS = 2_000
AS_GIVEN = {"chatml", "marked"}
"""Templates that take neither white space away nor add any."""
ALPHABETS = ["abc xyz", "Größe naïve €", "日本語 テキスト", "🙂🙃 \u200d", "{}[]()<>|/\\\"'", "0123456789.,", "the film was good\n"]


@functools.cache
def made(name):
    tokenizer = language.tokenizer(name)
    return tokenizer, ChatTemplate(tokenizer)


def words(draw):
    letters = draw.choice(ALPHABETS)
    return "".join(draw.choice(letters) for _ in range(draw.randint(1, 24)))


def said(draw, *, answer):
    """A text; an answer is not empty, and some begin or end with white space."""
    text = words(draw) + draw.choice(["", " ", "\n", "  "])
    return text if text.strip() or not answer else "yes"


def conversation(draw):
    turns = [("system", said(draw, answer=False))] if draw.random() < 0.4 else []
    for _ in range(draw.randint(1, 4)):
        turns += [("user", said(draw, answer=False)), ("assistant", said(draw, answer=True))]
    if draw.random() < 0.1:
        turns.append(("user", said(draw, answer=False)))
    return [{"role": role, "content": content} for role, content in turns]


def runs(rendered):
    """The trained tokens, turn by turn."""
    found, before = [], 0
    for token, target in zip(rendered.input_ids, rendered.targets, strict=True):
        if target and not before:
            found.append([])
        if target:
            found[-1].append(token)
        before = target
    return found


@pytest.mark.parametrize("name", language.TEMPLATES)
def test_exactly_what_the_assistant_says_is_trained(name):
    tokenizer, template = made(name)
    draw = random.Random(name)
    for _ in range(NUM_CONVERSATIONS):
        messages = conversation(draw)
        rendered = template.render(messages)
        expected = [message["content"].strip() for message in messages if message["role"] == "assistant"]
        turns = runs(rendered)
        if name in AS_GIVEN:
            given = [message["content"] for message in messages if message["role"] == "assistant"]
            assert [tokenizer.decode(turn[:-1], clean_up_tokenization_spaces=False) for turn in turns] == given
        # As many trained runs as answers, each of which is the answer and its end of turn: nothing of another turn is trained.
        assert [tokenizer.decode(turn, skip_special_tokens=True).strip() for turn in turns] == expected, messages
        assert all(turn[-1] in rendered.stops for turn in turns)
        assert rendered.input_ids == tokenizer(rendered.text, add_special_tokens=False)["input_ids"]
