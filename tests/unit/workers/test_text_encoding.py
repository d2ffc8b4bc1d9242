"""The published tokenizer is compared with the records; what an encoder writes is in test_tokenization.py."""

import pytest

from job.errors import CrashError
from job.workers.text_encoding import check_texts


def test_a_tokenizer_that_gives_other_tokens_is_a_crash():
    class Split(list):
        def select(self, positions):
            return [self[at] for at in positions]

    rows = Split([{"id": "train-0", "text": "one", "input_ids": [1, 2]}])
    check_texts(lambda text, truncation: {"input_ids": [1, 2]}, rows)
    with pytest.raises(CrashError, match="train-0"):
        check_texts(lambda text, truncation: {"input_ids": [1]}, rows)
