"""The task without a real model: rows of a batch, the loss against its definition, metrics, findings."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from job.errors import HopelessError
from job.records import PreparedData
from job.workers.tasks.dpo import Preference, PreferenceAppraisal
from tests.support import tiny
from tests.support.training import Rows

ROWS = Rows(
    [
        {
            "id": "a",
            "text": "A",
            "text_sha256": "s",
            "chosen_ids": [1, 2, 3],
            "chosen_targets": [0, 1, 1],
            "rejected_ids": [1, 4],
            "rejected_targets": [0, 1],
            "reference_chosen": -2.0,
            "reference_rejected": -1.0,
        },
        {
            "id": "b",
            "text": "B",
            "text_sha256": "t",
            "chosen_ids": [1, 5],
            "chosen_targets": [0, 1],
            "rejected_ids": [1, 2, 2, 2],
            "rejected_targets": [0, 0, 1, 1],
            "reference_chosen": -1.5,
            "reference_rejected": -3.0,
        },
    ]
)


def make(tmp_path, **changes):
    prepared = PreparedData({"train": 2}, {"train": 11}, "preference", [], [], 8, "0", {"tokenized": [], "stops": [2]})
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=2)
    return Preference(tiny.settings(tmp_path, **changes), prepared, tokenizer)


class Bigrams(torch.nn.Module):
    """The logits of the next token are a row of a table."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Parameter(torch.randn(6, 6))

    def forward(self, input_ids, attention_mask, use_cache):
        return SimpleNamespace(logits=self.table[input_ids])

    def answer(self, row, side):
        pairs = zip(row[f"{side}_ids"], row[f"{side}_ids"][1:], row[f"{side}_targets"][1:], strict=False)
        return sum(float(functional.log_softmax(self.table.detach()[one], -1)[other]) for one, other, target in pairs if target)


def test_chosen_rows_stand_before_rejected_ones(tmp_path):
    batch = make(tmp_path).collate(ROWS)
    assert batch.inputs["input_ids"].tolist() == [[1, 2, 3, 0], [1, 5, 0, 0], [1, 4, 0, 0], [1, 2, 2, 2]]
    assert batch.labels.tolist() == [[-100, 2, 3, -100], [-100, 5, -100, -100], [-100, 4, -100, -100], [-100, -100, 2, 2]]
    assert batch.inputs["attention_mask"].sum() == 11
    assert batch.extras["reference_rejected"].tolist() == [-1, -3]
    assert batch.weights.tolist() == [1, 1]


def test_loss_and_measure_are_the_definition(tmp_path):
    task, model = make(tmp_path, PREFERENCE__BETA="0.5"), Bigrams()
    batch = task.collate(ROWS)
    loss = task.loss_sum(model, batch)
    margins = [
        (model.answer(row, "chosen") - row["reference_chosen"]) - (model.answer(row, "rejected") - row["reference_rejected"])
        for row in ROWS
    ]
    assert float(loss.detach()) == pytest.approx(
        sum(-float(functional.logsigmoid(torch.tensor(0.5 * margin))) for margin in margins), rel=1e-5
    )
    loss.backward()
    assert model.table.grad.abs().sum() > 0
    with torch.no_grad():
        scores = task.measure(model, batch)
    found = task.metrics(scores)
    assert found["reward_margin"] == pytest.approx(0.5 * np.mean(margins), rel=1e-5)
    assert found["loss"] == pytest.approx(float(loss.detach()) / 2, rel=1e-5)
    gone = sum(row[f"reference_{side}"] - model.answer(row, side) for row in ROWS for side in ("chosen", "rejected"))
    assert found["kl"] == pytest.approx(gone / 6, rel=1e-5)
    with pytest.raises(HopelessError, match="1 of 2 pairs"):
        task.metrics(scores | {"loss": np.array([np.inf, 1.0])})


def test_without_a_reference(tmp_path):
    task, model = make(tmp_path, PREFERENCE__LOSS="orpo"), Bigrams()
    assert task.enrich(ROWS, None, None, None) is ROWS
    plain = [{name: value for name, value in row.items() if not name.startswith("reference")} for row in ROWS]
    with torch.no_grad():
        found = task.metrics(task.measure(model, task.collate(plain)))
    assert "kl" not in found
    per_token = [[model.answer(row, side) / sum(row[f"{side}_targets"]) for side in ("chosen", "rejected")] for row in ROWS]
    assert found["reward_margin"] == pytest.approx(0.1 * np.mean([one - other for one, other in per_token]), rel=1e-4)


def test_findings_name_the_pairs_that_are_the_wrong_way_round(tmp_path):
    task = make(tmp_path)
    scores = {f"{side}_tokens": np.ones(2) for side in ("chosen", "rejected")}
    scores |= {
        "chosen": np.array([1.0, 5.0]),
        "rejected": np.array([4.0, 1.0]),
        "reference_chosen": np.zeros(2),
        "reference_rejected": np.zeros(2),
    }
    appraisal = PreferenceAppraisal(task)
    findings = appraisal.predictions(scores, ROWS)
    assert [(mistake["id"], mistake["score"]) for mistake in findings.mistakes] == [("a", pytest.approx(0.3))]
    assert findings.table["reward_chosen"].to_pylist() == pytest.approx([0.1, 0.5])
    interval = appraisal.interval(scores, tiny.settings(tmp_path).eval, 0)
    assert (interval["metric"], interval["value"]) == ("reward_accuracy", 0.5)
    assert (task.main_metric(), task.greater_is_better("kl")) == ("reward_accuracy", False)
