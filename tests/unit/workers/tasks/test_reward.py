"""The task without a real model: the loss by its definition, metrics, findings."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from job.errors import HopelessError
from job.records import PreparedData
from job.workers.tasks.reward import Reward, RewardAppraisal
from tests.support import tiny
from tests.support.training import Rows

ROWS = Rows(
    [
        {"id": "a", "text": "A", "text_sha256": "s", "chosen_ids": [3, 2], "rejected_ids": [1]},
        {"id": "b", "text": "B", "text_sha256": "t", "chosen_ids": [1, 1], "rejected_ids": [4, 1, 1]},
    ]
)


def summed(input_ids, attention_mask):
    return SimpleNamespace(logits=(input_ids * attention_mask).sum(dim=1, keepdim=True).float())


@pytest.fixture
def task(tmp_path):
    prepared = PreparedData({"train": 2}, {"train": 8}, "reward", ["reward"], [], 8, "0", {"tokenized": [], "stops": []})
    return Reward(tiny.settings(tmp_path), prepared, SimpleNamespace(pad_token_id=0))


def test_loss_measure_and_metrics(task):
    batch = task.collate(ROWS)
    assert batch.inputs["input_ids"].tolist() == [[3, 2, 0], [1, 1, 0], [1, 0, 0], [4, 1, 1]]
    expected = [math.log1p(math.exp(-4)), math.log1p(math.exp(4))]
    assert float(task.loss_sum(summed, batch)) == pytest.approx(sum(expected), rel=1e-5)
    scores = task.measure(summed, batch)
    assert (scores["chosen"].tolist(), scores["rejected"].tolist()) == ([5, 2], [1, 6])
    assert task.metrics(scores) == {"accuracy": 0.5, "margin": 0.0, "loss": pytest.approx(sum(expected) / 2, rel=1e-5)}
    with pytest.raises(HopelessError, match="not all finite"):
        task.metrics(scores | {"loss": np.array([np.nan])})


def test_appraisal(task, tmp_path):
    appraisal = RewardAppraisal(task)
    scores = task.measure(summed, task.collate(ROWS))
    assert [mistake["id"] for mistake in appraisal.predictions(scores, ROWS).mistakes] == ["b"]
    assert appraisal.interval(scores, tiny.settings(tmp_path).eval, 0)["value"] == 0.5
    assert appraisal.baselines(scores, None) == {}
    assert (task.main_metric(), task.greater_is_better("margin"), task.greater_is_better("loss")) == ("accuracy", True, False)


def test_fillers_weigh_nothing(task):
    batch = task.collate(ROWS)
    batch.weights.zero_()
    assert torch.equal(task.loss_sum(summed, batch), torch.tensor(0.0))
