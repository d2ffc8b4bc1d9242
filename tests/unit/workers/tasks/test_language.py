"""Token losses against transformers' own, in batches with padding, packed and not; sums by record."""

import numpy as np
import pytest
import torch

from job.records import PreparedData
from job.workers.tasks.base import Batch
from job.workers.tasks.causal_lm import CausalAppraisal, CausalLM
from tests.support import language, tiny

ROWS = [
    {"id": "a", "input_ids": [20, 21, 22, 23, 24, 25], "targets": [0, 1, 1, 1, 1, 1], "pieces": [6], "num_bytes": 12},
    {"id": "b", "input_ids": [30, 31, 32], "targets": [0, 0, 1], "pieces": [3], "num_bytes": 4},
]
PACKED = [{"id": "a+1", **{name: [*ROWS[0][name], *ROWS[1][name]] for name in ("input_ids", "targets", "pieces")}, "num_bytes": 16}]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    record = PreparedData({}, {}, "", [], [], 32, "0", {"packed": True})
    task = CausalLM(tiny.settings(folder), record, language.tokenizer())
    return task, task.load_model(str(language.write_llama(folder / "model")), from_config=False).eval()


def theirs(model, row):
    """Sum of the losses by transformers' own loss, the record alone."""
    ids = torch.tensor([row["input_ids"]])
    labels = torch.where(torch.tensor([row["targets"]]) == 1, ids, -100)
    with torch.no_grad():
        return float(model(input_ids=ids, labels=labels).loss) * sum(row["targets"])


def test_the_loss_is_transformers_own(made):
    task, model = made
    expected = sum(theirs(model, row) for row in ROWS)
    for rows in (ROWS, PACKED):
        batch = task.collate(rows)
        assert float(batch.weights.sum()) == 6
        assert float(task.loss_sum(model, batch).detach()) == pytest.approx(expected, rel=1e-5)


def test_records_are_measured_one_by_one(made):
    task, model = made
    with torch.no_grad():
        found = task.measure(model, task.collate(ROWS))
    assert found["losses"] == pytest.approx([theirs(model, row) for row in ROWS], rel=1e-5)
    assert (found["tokens"].tolist(), found["num_bytes"].tolist()) == ([5, 1], [12, 4])
    assert task.metrics(found)["num_tokens"] == 6
    assert task.greater_is_better("token_accuracy")
    assert task.main_metric() == "loss"


def test_a_filler_has_a_gradient_of_nothing(made):
    task, model = made
    batch = task.collate(ROWS)
    loss = task.loss_sum(model, Batch(batch.inputs, batch.labels, batch.weights * 0, batch.extras))
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(float(parameter.grad.abs().sum()) == 0 for parameter in model.parameters())


def test_findings_are_by_record(made):
    scores = {"losses": np.array([2.0, 3.0]), "tokens": np.array([4, 1]), "correct": np.array([1.0, 1.0]), "num_bytes": np.zeros(2)}

    class Split:
        def __getitem__(self, name):
            return ["a", "b"]

    appraisal = CausalAppraisal(made[0])
    table = appraisal.predictions(scores, Split()).table
    assert table["loss"].to_pylist() == [0.5, 3.0]
    interval = appraisal.interval(scores, made[0].settings.eval, 1)
    assert (interval["metric"], interval["value"]) == ("loss", 1.0)
    assert interval["low"] < 1 < interval["high"]
    assert appraisal.baselines(scores, None) == {}
