"""The task without a model: batches at both padding sides, words out of tokens, metrics, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from job.errors import HopelessError, SettingsError
from job.records import PreparedData
from job.workers.tasks.token_classification import TaggingAppraisal, TokenClassification
from tests.support import tiny
from tests.support.training import Rows

NAMES = ["O", "B-A", "I-A"]
ROWS = Rows(
    [
        {
            "id": "a",
            "text": "x y",
            "text_sha256": "s",
            "input_ids": [9, 8, 7, 6],
            "labels": [-100, 1, 2, -100],
            "starts": [1, 2],
            "tags": [1, 2],
        },
        {
            "id": "b",
            "text": "z y x",
            "text_sha256": "t",
            "input_ids": [9, 5, 6],
            "labels": [-100, 0, -100],
            "starts": [1, -1, -1],
            "tags": [0, 1, 2],
        },
    ]
)


def make(tmp_path, side="right", scheme="iob2", names=NAMES, **changes):
    prepared = PreparedData({"train": 2}, {"train": 7}, "entities", names, [1, 2, 2], 8, "0", {"scheme": scheme})
    tokenizer = SimpleNamespace(pad_token_id=0, padding_side=side)
    return TokenClassification(tiny.settings(tmp_path, **changes), prepared, tokenizer)


class Echo:
    """Logits [B, T, 3] that favour, at each token, the class that is the token's id modulo 3."""

    def __call__(self, input_ids, attention_mask):
        return SimpleNamespace(logits=torch.nn.functional.one_hot(input_ids % 3, 3).float() * 4)


@pytest.mark.parametrize("side", ["right", "left"])
def test_words_are_read_at_their_first_tokens(tmp_path, side):
    task = make(tmp_path, side)
    batch = task.collate(ROWS)
    assert batch.weights.sum() == 3
    found = task.measure(Echo(), batch)
    assert found["predicted"] == [[2, 1], [2, -1, -1]]
    assert found["tags"] == [[1, 2], [0, 1, 2]]
    assert found["tokens"].tolist() == [2, 1]
    assert float(task.loss_sum(Echo(), batch)) == pytest.approx(float(found["loss"].sum()))


def test_metrics_count_unseen_words_as_outside(tmp_path):
    task = make(tmp_path)
    scores = {
        "predicted": [[1, 2], [0, -1, -1]],
        "tags": [[1, 2], [0, 1, 2]],
        "loss": np.array([1.0, 0.5]),
        "tokens": np.array([2.0, 1.0]),
    }
    found = task.metrics(scores)
    assert (found["precision"], found["recall"], found["accuracy"], found["loss"]) == (1.0, 0.5, 0.6, 0.5)
    assert make(tmp_path, scheme="plain").named(scores)[1][1] == ["O", "", ""]
    with pytest.raises(HopelessError, match="1 of 2 sentences"):
        task.metrics(scores | {"loss": np.array([np.nan, 1.0])})
    appraisal = TaggingAppraisal(task)
    assert appraisal.baselines(scores, None)["majority"]["recall"] == 0.0
    findings = appraisal.predictions(scores, ROWS)
    assert findings.mistakes == [{"id": "b", "text": "z y x", "label": "A: y x", "prediction": "none", "score": 2.0}]
    interval = appraisal.interval(scores, tiny.settings(tmp_path, EVAL__BOOTSTRAP_SAMPLES="100").eval, 0)
    assert (interval["metric"], interval["value"]) == ("f1", pytest.approx(found["f1"]))


def test_directions_and_refusals(tmp_path):
    task = make(tmp_path)
    assert (task.main_metric(), task.greater_is_better("f1"), task.greater_is_better("loss")) == ("f1", True, False)
    with pytest.raises(SettingsError, match="one per word"):
        make(tmp_path, TRAIN__CLASS_WEIGHTS="balanced")
