"""Judged answers in every form they come in: targets on the last answer alone, each prompt with the answer of another one beside it."""

import json

import pyarrow as pa
import pytest

from job.errors import DataError
from job.workers.exchanges import Exchanges
from job.workers.judged_answers import JUDGED_COMPLETIONS, JUDGED_MESSAGES, JudgedEncoder, parse_judged, partners
from job.workers.rows import schema_of
from job.workers.tokenization import TokenizerSetup
from tests.support import language
from tests.support.inputs import settings

USER, OTHER = {"role": "user", "content": "Hello"}, {"role": "user", "content": "And now?"}
YES, NO = {"role": "assistant", "content": "Yes"}, {"role": "assistant", "content": "No"}


def pair(prompt, completion, label="true", name="a"):
    told = None if label is None else [label] if isinstance(label, str) else label
    return {"id": name, "prompt": json.dumps(prompt), "completion": json.dumps(completion), "label": told}


def talk(messages, label="true"):
    return {"id": "a", "messages": json.dumps(messages), "label": [label]}


@pytest.fixture(scope="module")
def tokenizer():
    return language.tokenizer()


def encode(tokenizer, *rows, longest=200):
    encoder = JudgedEncoder(TokenizerSetup(tokenizer, longest), Exchanges(settings(TASK="kto"), tokenizer))
    roles = JUDGED_COMPLETIONS if "prompt" in rows[0] else JUDGED_MESSAGES
    (encoded,) = encoder.encode(iter([pa.RecordBatch.from_pylist(list(rows), schema=schema_of(roles))]))
    encoded.records.cast(encoder.features.arrow_schema)
    return encoded


def shown(tokenizer, record, side, *, trained):
    chosen = zip(record[f"{side}_ids"], record[f"{side}_targets"], strict=True)
    return tokenizer.decode([token for token, target in chosen if bool(target) == trained], skip_special_tokens=False)


def test_texts(tokenizer):
    rows = pair("Well?", " yes"), pair("And?", " no", "false"), pair("So?", " perhaps", "0")
    found = encode(tokenizer, *rows)
    records = found.records.to_pylist()
    assert [shown(tokenizer, record, "answer", trained=True) for record in records] == [" yes</s>", " no</s>", " perhaps</s>"]
    assert [shown(tokenizer, record, "mismatched", trained=True) for record in records] == [" perhaps</s>", " yes</s>", " no</s>"]
    for record in records:
        assert shown(tokenizer, record, "answer", trained=False) == shown(tokenizer, record, "mismatched", trained=False)
        assert record["length"] == 2 * max(len(record["answer_ids"]), len(record["mismatched_ids"]))
    assert [record["desirable"] for record in records] == [True, False, False]
    assert records[1]["text"] == "- And?\n no"
    assert found.counts == {"trained_tokens": sum(sum(record["answer_targets"]) for record in records), "desirable_answers": 1}


def test_of_a_conversation_the_last_answer_is_judged(tokenizer):
    records = encode(tokenizer, talk([USER, YES, OTHER, NO]), talk([USER, YES], "1")).records.to_pylist()
    assert [shown(tokenizer, record, "answer", trained=True) for record in records] == ["No<|im_end|>", "Yes<|im_end|>"]
    assert [shown(tokenizer, record, "mismatched", trained=True) for record in records] == ["Yes<|im_end|>", "No<|im_end|>"]


def test_lists_of_messages_as_prompt_and_completion(tokenizer):
    (record,) = encode(tokenizer, pair([USER], [YES])).records.to_pylist()
    assert (
        shown(tokenizer, record, "answer", trained=True) == shown(tokenizer, record, "mismatched", trained=True) == "Yes<|im_end|>"
    )


def test_partners_are_of_one_kind():
    given = [("a", "1"), [USER, YES], ("b", "2"), [OTHER, NO], ("c", "3")]
    assert partners(given) == [("c", "3"), [OTHER, NO], ("a", "1"), [USER, YES], ("b", "2")]


def test_what_is_cut_away_is_left_out_and_counted(tokenizer):
    found = encode(tokenizer, pair("Well " * 30, " yes", name="long"), pair("And?", " no"), longest=20)
    assert found.without_targets == ("long",)
    assert found.records.num_rows == len(found.tokens_in) == found.examples.num_rows == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (pair("a", "b", "maybe"), "the label 'maybe' is neither true nor false"),
        (pair("a", "b", None), "the label 'nothing' is neither true nor false"),
        (pair("a", "b", ["true", "false"]), "the label 'true, false' is neither"),
        (pair("a", " "), "the completion is empty"),
        (pair("a", [YES]), "both have to be texts, or both lists"),
        (talk([USER, YES, OTHER]), "does not end with the assistant"),
        (talk([]), "does not end with the assistant"),
        (talk([{"role": "bot", "content": "x"}]), "the role 'bot'"),
    ],
)
def test_what_is_none(row, says):
    with pytest.raises(DataError, match="line 7: ") as caught:
        parse_judged(row, "line 7")
    assert says in caught.value.message
    assert caught.value.hint


def test_labels_in_every_writing():
    for label, verdict in {"true": True, "True": True, "1": True, "1.0": True, "false": False, "FALSE": False, "0": False}.items():
        assert parse_judged(pair("a", "b", label), "here")[1] is verdict
