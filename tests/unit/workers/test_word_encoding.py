"""Words as pieces: the tokenizer's own ids, labels at the right places, and what cutting takes."""

import pyarrow as pa
import pytest
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from job.workers.rows import schema_of
from job.workers.tagging import TAGGED_WORDS, Tagging
from job.workers.tokenization import TokenizerSetup
from job.workers.word_encoding import WordEncoder, mark_word_starts
from tests.support.inputs import write_tokenizer

TAGGING = Tagging("iob2", ("O", "B-A", "I-A"))
WORDS, TAGS = ["the", "xyz", "film", "\u200b", "good"], ["O", "B-A", "I-A", "O", "O"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return transformers.AutoTokenizer.from_pretrained(write_tokenizer(tmp_path_factory.mktemp("model")))


def encode(tokenizer, *, longest=32, all_pieces=False, side="right", words=WORDS, tags=TAGS):
    tokenizer.truncation_side = side
    encoder = WordEncoder(TokenizerSetup(tokenizer, longest), TAGGING, all_pieces=all_pieces)
    rows = pa.record_batch({"id": ["a"], "words": [words], "label": [tags]}, schema=schema_of(TAGGED_WORDS))
    (encoded,) = encoder.encode(iter([rows]))
    encoded.records.cast(encoder.features.arrow_schema)
    return encoded


def test_ids_are_the_tokenizers_and_labels_stand_at_first_pieces(tokenizer):
    encoded = encode(tokenizer)
    (row,) = encoded.records.to_pylist()
    assert row["input_ids"] == tokenizer(WORDS, is_split_into_words=True)["input_ids"]
    assert row["labels"] == [-100, 0, 1, -100, -100, 2, 0, -100]
    assert (row["starts"], row["tags"]) == ([1, 2, 5, -1, 6], [0, 1, 2, 0, 0])
    assert (row["length"], encoded.tokens_in.tolist()) == (8, [8])
    assert encoded.counts == {"words": 5, "words_cut": 1, "trained_tokens": 4}


def test_all_pieces(tokenizer):
    (row,) = encode(tokenizer, all_pieces=True).records.to_pylist()
    assert row["labels"] == [-100, 0, 1, 2, 2, 2, 0, -100]


@pytest.mark.parametrize(
    ("side", "starts", "labels"),
    [("right", [1, 2, -1, -1, -1], [-100, 0, 1, -100, -100]), ("left", [-1, -1, 2, -1, 3], [-100, -100, 2, 0, -100])],
)
def test_cut(tokenizer, side, starts, labels):
    """From the left the word xyz loses its beginning, and what is left of it is nothing to learn from."""
    encoded = encode(tokenizer, longest=5, side=side)
    (row,) = encoded.records.to_pylist()
    assert (row["starts"], row["labels"], row["length"]) == (starts, labels, 5)
    assert encoded.tokens_in.tolist() == [8]


def test_a_sentence_without_pieces_is_named(tokenizer):
    encoded = encode(tokenizer, words=["\u200b"], tags=["O"])
    assert (encoded.records.num_rows, encoded.without_tokens) == (0, ("a",))


def test_byte_level_words_begin_with_a_space(tmp_path):
    inner = Tokenizer(models.BPE({"a": 0, "b": 1, "Ġ": 2, "Ġa": 3, "<e>": 4}, [("Ġ", "a")]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<e>")
    before = tokenizer.backend_tokenizer.encode(["a", "a"], is_pretokenized=True).ids
    mark_word_starts(tokenizer)
    after = tokenizer.backend_tokenizer.encode(["a", "a"], is_pretokenized=True).ids
    assert (before, after) == ([0, 0], [3, 3])
    tokenizer.save_pretrained(tmp_path)
    assert transformers.AutoTokenizer.from_pretrained(tmp_path)(["a", "a"], is_split_into_words=True)["input_ids"] == [3, 3]
