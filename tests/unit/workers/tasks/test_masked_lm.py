"""Masks: the shares of the settings, the same ones for the same (seed, epoch, record), other ones in the next epoch."""

from types import SimpleNamespace

import numpy as np
import pytest

from job.errors import SettingsError
from job.workers.tasks.base import NOT_TRAINING
from job.workers.tasks.language import NOT_A_TARGET
from job.workers.tasks.masked_lm import Masks
from tests.support import tiny

MASK, SIZE = 4, 5000
ROW = {"id": "train-1", "input_ids": [2, *(5 + np.arange(3000) % 100), 3], "targets": [0] + [1] * 3000 + [0]}


class Vocabulary(SimpleNamespace):
    def __len__(self):
        return SIZE


def masks(tmp_path, **settings):
    return Masks(tiny.settings(tmp_path, **settings), Vocabulary(mask_token_id=MASK, all_special_ids=[0, 1, 2, 3, 4]))


def test_shares_are_those_of_the_settings(tmp_path):
    read, sought = masks(tmp_path).draw(ROW, 0)
    ids = np.array(ROW["input_ids"])
    hidden = sought != NOT_A_TARGET
    assert 0.13 < hidden.mean() < 0.17
    np.testing.assert_array_equal(sought[hidden], ids[hidden])
    np.testing.assert_array_equal(read[~hidden], ids[~hidden])
    masked, same = (read == MASK)[hidden].mean(), (read == ids)[hidden].mean()
    assert 0.75 < masked < 0.85
    assert 0.06 < same < 0.14
    at_random = read[hidden & (read != MASK) & (read != ids)]
    assert len(at_random)
    assert at_random.min() > MASK
    assert not hidden[[0, -1]].any()


def test_draws_belong_to_seed_epoch_and_record(tmp_path):
    def hidden(epoch=0, name="train-1", seed="1"):
        return masks(tmp_path, RUN__SEED=seed).draw({**ROW, "id": name}, epoch)[1].tolist()

    assert hidden() == hidden()
    different = [hidden(), hidden(1), hidden(NOT_TRAINING), hidden(name="train-2"), hidden(seed="2")]
    assert len({tuple(each) for each in different}) == 5


def test_a_record_has_at_least_one_target(tmp_path):
    chosen = masks(tmp_path, TRAIN__MASKED_SHARE="0.001")
    for at in range(50):
        _, sought = chosen.draw({"id": str(at), "input_ids": [2, 9, 3], "targets": [0, 1, 0]}, 0)
        assert sought.tolist() == [NOT_A_TARGET, 9, NOT_A_TARGET]


def test_everything_may_be_the_mask_token(tmp_path):
    read, sought = masks(tmp_path, TRAIN__MASK_TOKEN_SHARE="1", TRAIN__RANDOM_TOKEN_SHARE="0").draw(ROW, 0)
    assert set(read[sought != NOT_A_TARGET]) == {MASK}


def test_a_tokenizer_needs_a_mask_token(tmp_path):
    with pytest.raises(SettingsError, match="no mask token"):
        Masks(tiny.settings(tmp_path), Vocabulary(mask_token_id=None, all_special_ids=[]))
