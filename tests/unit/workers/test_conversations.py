import json

import pytest

from job.workers.conversations import UnusableConversationError, answers, as_text, conversation, messages_of, unusable

USER, ANSWER = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}
WRONG = {
    "a text where a list": "hi",
    "an object where a list": USER,
    "message 1 is a text": ["hi"],
    "message 1 has the role 'human'": [{"role": "human", "content": "hi"}],
    "message 1 has no role": [{"content": "hi"}],
    "message 1 has a role that is no text": [{"role": 3, "content": "hi"}],
    "message 1 has 'from' and 'value' (ShareGPT's names)": [{"from": "human", "value": "hi"}],
    "message 2 (assistant) has nothing as content": [USER, {"role": "assistant"}],
    "message 1 (user) has a list as content": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    "message 2 (assistant) is empty": [USER, {"role": "assistant", "content": " "}],
    "message 2 has tool_calls": [USER, {"role": "assistant", "content": "", "tool_calls": [{}]}],
    "message 2 has the role 'system', which only the first": [USER, {"role": "system", "content": "x"}],
}


@pytest.mark.parametrize("says", WRONG)
def test_what_is_no_conversation_is_told(says):
    with pytest.raises(UnusableConversationError) as caught:
        messages_of(WRONG[says])
    assert says in str(caught.value)


def test_a_conversation():
    messages = messages_of([{"role": "system", "content": "be short", "name": "x"}, USER, ANSWER])
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert answers(messages) == [2]
    assert as_text(messages) == "system: be short\nuser: hi\nassistant: ho"


def test_pairs_are_both_texts_or_both_lists():
    assert conversation('"a"', '"b"') == ("a", "b")
    assert conversation(json.dumps([USER]), json.dumps([ANSWER])) == [USER, ANSWER]
    with pytest.raises(UnusableConversationError, match="the prompt is a list and the completion a text"):
        conversation(json.dumps([USER]), '"b"')


def test_the_error_says_where_and_how_it_should_be():
    error = unusable("a.jsonl, row 3", UnusableConversationError("message 1 has no role"))
    assert error.message == "a.jsonl, row 3: message 1 has no role."
    assert '{"role": "user", "content": "..."}' in error.hint
