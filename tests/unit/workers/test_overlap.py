"""Repeated texts are counted, and too many refused."""

import numpy as np
import pyarrow as pa
import pytest

from job.errors import DataError
from job.settings.limits import LimitsSettings
from job.workers.overlap import check_not_empty, check_overlap, check_truncation, measure_overlap
from job.workers.tokenization import TokenizedSplit


def split(texts: list[int], labels: list | None = None, kept: int = 5) -> TokenizedSplit:
    if not texts:
        return TokenizedSplit(without_tokens=["train-1"])
    return TokenizedSplit(
        tokens_in=[np.full(len(texts), 5, np.int32)],
        tokens_kept=[np.array([kept] + [5] * (len(texts) - 1), np.int32)],
        identifiers=[pa.chunked_array([[f"id-{text}" for text in texts]])],
        digests=[np.array(texts, np.uint64)],
        labels=[np.array(labels if labels is not None else [0] * len(texts))],
    )


def test_counts_and_shares():
    overlap = measure_overlap({"train": split([1, 1, 1, 2, 3]), "eval": split([1, 9, 9]), "test": split([3, 9, 7, 6])})
    assert overlap.duplicates == {"within_train": 2, "eval_in_train": 1, "test_in_train": 1, "test_in_eval": 1}
    assert overlap.leaked_share == {"eval": pytest.approx(1 / 3), "test": 0.25}
    assert overlap.contradictions == 0


def test_without_test_data():
    overlap = measure_overlap({"train": split([1, 2]), "eval": split([3])})
    assert overlap.duplicates == {"within_train": 0, "eval_in_train": 0, "test_in_train": 0, "test_in_eval": 0}
    assert overlap.leaked_share == {"eval": 0.0}


@pytest.mark.parametrize("labels", [[0, 1, 2, 2], [[0, 1], [1, 1], [0, 0], [0, 0]], [0.5, 0.75, 1.5, 1.5]])
def test_contradictions(labels):
    assert measure_overlap({"train": split([1, 1, 2, 2], labels)}).contradictions == 1


def test_leaked_texts_above_the_limit():
    splits = {"train": split([1, 2]), "eval": split([8, 1, 9, 7])}
    overlap = measure_overlap(splits)
    check_overlap(splits, overlap, LimitsSettings(max_leaked_share=0.25))
    with pytest.raises(DataError, match=r"1 of 4 eval examples \(25\.00%\) have a text that also stands.*For example: id-1\."):
        check_overlap(splits, overlap, LimitsSettings())


def test_cut_texts_above_the_limit():
    check_truncation("train", split([1, 2], kept=4), LimitsSettings())
    with pytest.raises(DataError, match=r"1 of 2 train examples \(50\.00%\) have more tokens than fit.*id-1") as caught:
        check_truncation("train", split([1, 2], kept=4), LimitsSettings(max_truncated_share=0.4))
    assert "JOB_TRAIN__MAX_SEQ_LENGTH" in caught.value.hint


def test_a_split_without_tokens():
    check_not_empty("train", split([1]))
    with pytest.raises(DataError, match=r"no token in any of the train texts \(such as train-1\)"):
        check_not_empty("train", split([]))
