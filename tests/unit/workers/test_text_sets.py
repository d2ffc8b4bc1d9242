"""Texts of a record, each with the tokenizer's own ids; equal texts have equal keys."""

import pyarrow as pa
import pytest
import transformers

from job.workers.rows import schema_of
from job.workers.text_sets import TRIPLETS, TextSetEncoder
from job.workers.tokenization import TokenizerSetup
from tests.support.inputs import write_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return transformers.AutoTokenizer.from_pretrained(write_tokenizer(tmp_path_factory.mktemp("model")))


def encode(tokenizer, rows, longest=32, columns=("anchor", "positive", "negative")):
    encoder = TextSetEncoder(TokenizerSetup(tokenizer, longest), columns)
    named = [{"id": str(at), **dict(zip(("anchor", "positive", "negative"), row, strict=True))} for at, row in enumerate(rows)]
    (encoded,) = encoder.encode(iter([pa.RecordBatch.from_pylist(named, schema=schema_of(TRIPLETS))]))
    encoded.records.cast(encoder.features.arrow_schema)
    return encoded


def test_ids_keys_and_lengths(tokenizer):
    encoded = encode(tokenizer, [("the film", "good film was good", "bad"), ("bad", "the film", "awful")])
    one, other = encoded.records.to_pylist()
    assert one["texts"] == tokenizer(["the film", "good film was good", "bad"])["input_ids"]
    assert one["keys"][0] == other["keys"][1]
    assert one["keys"][2] == other["keys"][0]
    assert len({*one["keys"], *other["keys"]}) == 4
    assert (one["length"], encoded.tokens_in.tolist()) == (3 * 6, [4 + 6 + 3, 3 + 4 + 3])
    assert encoded.examples.to_pylist()[0]["length"] == 13


def test_each_text_is_cut_for_itself(tokenizer):
    (row,) = encode(
        tokenizer, [("the film was good", "good", "bad")], longest=4, columns=("anchor", "positive")
    ).records.to_pylist()
    assert [len(ids) for ids in row["texts"]] == [4, 3]
    assert row["length"] == 8


def test_a_record_with_an_empty_text_is_named(tokenizer):
    encoded = encode(tokenizer, [("\u200b", "good", "bad"), ("film", "good", "bad")])
    assert encoded.without_tokens == ("0",)
    assert encoded.records.num_rows == len(encoded.tokens_in) == 1
