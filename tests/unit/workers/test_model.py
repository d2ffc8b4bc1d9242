"""The arithmetic of lengths and the reading of a folder; whole models are in tests/integration/test_model.py."""

from types import SimpleNamespace

import pytest
import transformers
from transformers.utils import logging as transformers_logging

from job.errors import SettingsError
from job.workers.model import first_line, load_config, max_length, quiet, read_object
from tests.support import tiny


def length(tmp_path, config, tokenizer_limit=10**30, **more):
    tokenizer = SimpleNamespace(model_max_length=tokenizer_limit, num_special_tokens_to_add=lambda pair: 3 if pair else 2)
    return max_length(tiny.settings(tmp_path, **more), tokenizer, config)


@pytest.mark.parametrize(
    ("config", "tokenizer_limit", "expected"),
    [
        (transformers.BertConfig(max_position_embeddings=128), 10**30, 128),
        (transformers.BertConfig(max_position_embeddings=128), 64, 64),
        (transformers.RobertaConfig(max_position_embeddings=514, pad_token_id=1), 10**30, 512),
        (transformers.GPT2Config(n_positions=96), 10**30, 96),
        (transformers.T5Config(), 10**30, 512),
        (transformers.T5Config(), 300, 300),
        (transformers.XLNetConfig(), 10**30, 512),
    ],
    ids=lambda value: getattr(value, "model_type", str(value)),
)
def test_the_default_is_the_smaller_limit(tmp_path, config, tokenizer_limit, expected):
    assert length(tmp_path, config, tokenizer_limit) == expected


def test_a_setting_within_the_positions_is_taken_whatever_the_tokenizer_states(tmp_path):
    assert length(tmp_path, transformers.BertConfig(max_position_embeddings=128), 64, TRAIN__MAX_SEQ_LENGTH="100") == 100


def test_a_setting_beyond_the_positions_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"JOB_TRAIN__MAX_SEQ_LENGTH asks for 513 .* 512") as caught:
        length(tmp_path, transformers.RobertaConfig(max_position_embeddings=514, pad_token_id=1), TRAIN__MAX_SEQ_LENGTH="513")
    assert "512 or less" in caught.value.hint


def test_a_setting_without_room_for_text_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="special tokens alone take 2"):
        length(tmp_path, transformers.BertConfig(), TRAIN__MAX_SEQ_LENGTH="2")
    assert length(tmp_path, transformers.BertConfig(), TRAIN__MAX_SEQ_LENGTH="3") == 3
    with pytest.raises(SettingsError, match="special tokens alone take 3"):
        length(tmp_path, transformers.BertConfig(), TRAIN__MAX_SEQ_LENGTH="3", DATA__TEXT_PAIR_COLUMN="other")


def test_a_missing_file_says_what_is_there(tmp_path):
    (tmp_path / "weights.bin").touch()
    with pytest.raises(SettingsError, match=r"no config\.json; it holds weights\.bin"):
        load_config(tmp_path)
    with pytest.raises(SettingsError, match=r"no config\.json; it holds nothing"):
        read_object(tmp_path / "nowhere", "config.json")


def test_quiet_leaves_transformers_as_it_was():
    before = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    with quiet():
        assert transformers_logging.get_verbosity() == transformers_logging.CRITICAL
    assert (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()) == before


def test_a_librarys_message_is_cut_to_what_helps():
    assert first_line(ValueError("why\nstack\nstack")) == "why"
    assert first_line(ValueError("in field x:\n  not a number\n")) == "in field x: not a number"
    assert first_line(KeyError()) == "KeyError"
