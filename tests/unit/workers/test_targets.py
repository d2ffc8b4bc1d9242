"""Texts and targets to tokens: both sides counted and cut on their own, the frame of targets, what is refused."""

import pyarrow as pa
import pytest
import transformers

from job.errors import SettingsError
from job.workers.rows import schema_of
from job.workers.targets import TARGETED, TargetEncoder, target_frame
from job.workers.tokenization import TokenizerSetup
from tests.support import seq2seq, tiny

BART = transformers.AutoConfig.for_model("bart", max_position_embeddings=60)
T5 = transformers.AutoConfig.for_model("t5")


@pytest.fixture(scope="module")
def tokenizers():
    return {kind: seq2seq.tokenizer(kind) for kind in seq2seq.CONFIGS}


def frame(tmp_path, tokenizer, config, **changes):
    return target_frame(tiny.settings(tmp_path, TASK="seq2seq", **changes), TokenizerSetup(tokenizer, 64, config))


def encode(tmp_path, tokenizer, rows, prefix="", longest=64, **changes):
    encoder = TargetEncoder(TokenizerSetup(tokenizer, longest, T5), frame(tmp_path, tokenizer, T5, **changes), prefix)
    named = [{"id": str(at), "text": text, "target": target} for at, (text, target) in enumerate(rows)]
    (encoded,) = encoder.encode(iter([pa.RecordBatch.from_pylist(named, schema=schema_of(TARGETED))]))
    encoded.records.cast(encoder.features.arrow_schema)
    return encoded, encoder


@pytest.mark.parametrize("kind", seq2seq.CONFIGS)
def test_both_sides_are_the_tokenizers_own(tmp_path, tokenizers, kind):
    tokenizer = tokenizers[kind]
    encoded, encoder = encode(tmp_path, tokenizer, [("the film was good", "it was good")])
    (row,) = encoded.records.to_pylist()
    assert row["input_ids"] == tokenizer("the film was good")["input_ids"]
    assert row["target_ids"] == tokenizer(text_target="it was good")["input_ids"]
    assert row["target_ids"][-1] == tokenizer.eos_token_id
    assert row["length"] == len(row["input_ids"]) + len(row["target_ids"]) == encoded.tokens_in[0]
    assert encoded.counts["trained_tokens"] == len(row["target_ids"])
    assert (encoded.counts["targets_cut"], encoder.cut_targets) == (0, [])


def test_a_prefix_stands_before_the_text_and_is_no_text_of_its_own(tmp_path, tokenizers):
    encoded, _ = encode(tmp_path, tokenizers["t5"], [("good", "fine"), ("", "fine"), ("good", "")], prefix="say: ")
    assert encoded.records["text"].to_pylist() == ["say: good"]
    assert encoded.records["input_ids"].to_pylist() == [tokenizers["t5"]("say: good")["input_ids"]]
    assert (encoded.without_tokens, encoded.without_targets) == (("1",), ("2",))


def test_each_side_is_cut_for_itself_and_a_cut_target_loses_its_end(tmp_path, tokenizers):
    tokenizer, text = tokenizers["t5"], "the film was good and the music was bad"
    rows = [("good", text), (text, "good")]
    encoded, encoder = encode(tmp_path, tokenizer, rows, longest=6, TRAIN__MAX_TARGET_LENGTH="5")
    one, other = encoded.records.to_pylist()
    whole = tokenizer(text)["input_ids"]
    assert one["target_ids"] == whole[:5]
    assert tokenizer.eos_token_id not in one["target_ids"]
    assert encoder.cut_targets == ["0"]
    assert other["input_ids"] == [*whole[:5], tokenizer.eos_token_id]
    assert other["target_ids"][-1] == tokenizer.eos_token_id
    assert encoded.counts["target_tokens_cut"] == len(whole) - 5
    assert encoded.counts["input_tokens_cut"] == len(whole) - 6
    assert encoded.counts["targets_cut"] == 1
    assert one["target"] == text
    lost = encoded.counts["target_tokens_cut"] + encoded.counts["input_tokens_cut"]
    assert encoded.tokens_in.sum() - sum(encoded.records["length"].to_pylist()) == lost


def test_a_tokenizer_that_closes_nothing_is_helped(tmp_path):
    tokenizer = seq2seq.tokenizer("t5")
    tokenizer.backend_tokenizer.post_processor = None
    assert frame(tmp_path, tokenizer, T5).end == [tokenizer.eos_token_id]


def test_the_longest_target_is_asked_for_or_the_decoders(tmp_path, tokenizers):
    assert frame(tmp_path, tokenizers["t5"], T5).longest == 512
    found = frame(tmp_path, tokenizers["bart"], BART)
    assert (found.longest, found.most_written) == (60, 60)
    assert frame(tmp_path, tokenizers["bart"], BART, EVAL__MAX_NEW_TOKENS="7").most_written == 7
    assert frame(tmp_path, tokenizers["t5"], T5, TRAIN__MAX_TARGET_LENGTH="9").longest == 9
    led = transformers.AutoConfig.for_model("led", max_encoder_position_embeddings=99, max_decoder_position_embeddings=33)
    assert frame(tmp_path, tokenizers["bart"], led).longest == 33


@pytest.mark.parametrize(
    ("config", "changes", "says"),
    [
        (transformers.AutoConfig.for_model("gpt2"), {}, "models of type 'gpt2' are none"),
        (BART, {"TRAIN__MAX_TARGET_LENGTH": "61"}, "decoder has positions for 60"),
        (BART, {"TRAIN__MAX_TARGET_LENGTH": "2"}, "special tokens alone take 2"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, tokenizers, config, changes, says):
    with pytest.raises(SettingsError, match=says) as caught:
        frame(tmp_path, tokenizers["bart"], config, **changes)
    assert caught.value.hint


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    tokenizer = seq2seq.tokenizer("t5")
    tokenizer.eos_token = None
    with pytest.raises(SettingsError, match="no end-of-text token"):
        frame(tmp_path, tokenizer, T5)
