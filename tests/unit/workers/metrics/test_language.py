import math

import numpy as np
import pytest

from job.errors import HopelessError, SettingsError
from job.workers.metrics import language

ONES = np.ones(2)


def test_sums_are_divided_by_tokens_and_bytes():
    found = language.compute(np.array([2.0, 4.0]), np.array([1, 3]), np.array([1.0, 1.0]), np.array([4, 8]))
    assert found == {
        "loss": 1.5,
        "perplexity": pytest.approx(math.exp(1.5)),
        "token_accuracy": 0.5,
        "bits_per_byte": pytest.approx(6 / 12 / math.log(2)),
        "num_tokens": 4,
    }
    assert "bits_per_byte" not in language.compute(ONES, ONES, ONES, np.zeros(2))


def test_a_perplexity_that_no_number_holds_is_left_open():
    assert language.compute(np.array([1e4]), np.array([1]), np.array([0]), np.array([0]))["perplexity"] is None


def test_directions():
    assert language.greater_is_better("token_accuracy")
    assert not language.greater_is_better(language.MAIN)
    with pytest.raises(SettingsError, match="Nearest: perplexity"):
        language.greater_is_better("perplexty")


def test_a_diverged_model_ends_the_run():
    with pytest.raises(HopelessError, match="1 of 2"):
        language.compute(np.array([1.0, np.nan]), ONES, ONES, ONES)
