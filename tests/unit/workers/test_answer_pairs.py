"""Pairs of answers in every form they come in: prompts told apart from answers, targets on the answers alone."""

import json

import pyarrow as pa
import pytest

from job.errors import DataError
from job.workers.answer_pairs import PAIRS, PairEncoder, as_exchange, parse_pair
from job.workers.exchanges import Exchanges
from job.workers.rows import schema_of
from job.workers.tokenization import TokenizerSetup
from tests.support import language
from tests.support.inputs import settings

USER, OTHER = {"role": "user", "content": "Hello"}, {"role": "user", "content": "And now?"}
YES, NO = {"role": "assistant", "content": "Yes"}, {"role": "assistant", "content": "No"}


def row(chosen, rejected, prompt=None):
    told = {"id": "a", "chosen": json.dumps(chosen), "rejected": json.dumps(rejected)}
    return {**told, "prompt": None if prompt is None else json.dumps(prompt)}


@pytest.fixture(scope="module")
def tokenizer():
    return language.tokenizer()


def encode(tokenizer, *rows, longest=200):
    encoder = PairEncoder(TokenizerSetup(tokenizer, longest), Exchanges(settings(TASK="dpo"), tokenizer))
    batch = pa.RecordBatch.from_pylist(list(rows), schema=schema_of(PAIRS))
    (encoded,) = encoder.encode(iter([batch]))
    encoded.records.cast(encoder.features.arrow_schema)
    return encoded


def trained(tokenizer, record, side):
    pairs = zip(record[f"{side}_ids"], record[f"{side}_targets"], strict=True)
    return tokenizer.decode([token for token, target in pairs if target], skip_special_tokens=False)


@pytest.mark.parametrize(
    ("given", "chosen", "rejected"),
    [
        (row(" yes", " no", "Well?"), " yes</s>", " no</s>"),
        (row("Well? yes", "Well? no"), "Well? yes</s>", "Well? no</s>"),
        (row([YES], [NO], [USER]), "Yes<|im_end|>", "No<|im_end|>"),
        (row([USER, YES], [USER, NO], [USER]), "Yes<|im_end|>", "No<|im_end|>"),
        (row([USER, YES], [USER, NO]), "Yes<|im_end|>", "No<|im_end|>"),
        (row([USER, NO, OTHER, YES], [USER, NO, OTHER, NO]), "Yes<|im_end|>", "No<|im_end|>"),
        (row([YES, OTHER, YES], [NO], [USER]), "Yes<|im_end|>Yes<|im_end|>", "No<|im_end|>"),
    ],
)
def test_the_answers_alone_are_trained(tokenizer, given, chosen, rejected):
    (record,) = encode(tokenizer, given).records.to_pylist()
    assert (trained(tokenizer, record, "chosen"), trained(tokenizer, record, "rejected")) == (chosen, rejected)
    assert record["length"] == 2 * max(len(record["chosen_ids"]), len(record["rejected_ids"]))


def test_what_cannot_teach_is_left_out_and_counted(tokenizer):
    long = row(" " + "x" * 60, " no", "Well " * 30)
    encoded = encode(tokenizer, row(" same", " same", "?"), long, row(" yes", " no", "?"), longest=20)
    assert encoded.without_targets == ("a", "a")
    assert encoded.records.num_rows == len(encoded.tokens_in) == 1
    assert encoded.counts["trained_tokens"] == sum(
        sum(encoded.records.to_pylist()[0][f"{side}_targets"]) for side in ("chosen", "rejected")
    )


def test_examples_count_the_tokens_of_both(tokenizer):
    encoded = encode(tokenizer, row(" yes", " no", "Well?"))
    (record,), (example,) = encoded.records.to_pylist(), encoded.examples.to_pylist()
    assert example["length"] == encoded.tokens_in[0] == len(record["chosen_ids"]) + len(record["rejected_ids"])
    assert record["text"] == "Well?\n+  yes\n-  no"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (row("yes", [NO], "?"), "the prompt is a text and the completion a list"),
        (row([YES], [USER], [USER]), "the rejected conversation does not end with the assistant"),
        (row([], [NO], [USER]), "the chosen conversation does not end with the assistant"),
        (row([], [], []), "the chosen conversation does not end with the assistant"),
        (row(" ", "no", "?"), "the chosen answer is empty"),
        (row("yes", "", "?"), "the rejected answer is empty"),
        (row([{"role": "robot", "content": "a"}], [NO], [USER]), "the role 'robot'"),
        (row([{"from": "gpt", "value": "a"}], [NO], [USER]), "ShareGPT"),
        (row(["yes"], [NO], [USER]), "is a text where an object was expected"),
        (row(3, 4, "?"), "the completion a number"),
    ],
)
def test_refused_by_place(given, says):
    with pytest.raises(DataError, match=f"b.jsonl, row 7: .*{says}"):
        parse_pair(given, "b.jsonl, row 7")


def test_a_side_as_an_exchange():
    assert as_exchange(row([USER, YES], [USER, NO]), "rejected") == {"prompt": json.dumps([USER]), "completion": json.dumps([NO])}
