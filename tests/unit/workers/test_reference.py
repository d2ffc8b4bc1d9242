"""Reference values are kept under a name that changes with the pairs, the weights and the arithmetic."""

from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch

from job.workers import reference
from job.workers.reference import COLUMNS, ReferencePass, with_reference
from tests.support.training import OneRank


def split(folder, targets=1):
    rows = [
        {"chosen_ids": [1, 2], "chosen_targets": [0, 1], "rejected_ids": [1, 3], "rejected_targets": [0, targets]} for _ in range(3)
    ]
    datasets.Dataset.from_list(rows).save_to_disk(str(folder))
    return datasets.load_from_disk(str(folder))


def engine(precision="fp32"):
    made = OneRank()
    made.precision = precision
    return made


@pytest.fixture
def computed(monkeypatch):
    calls = []
    values = {name: [0.5, 1.5, float(at)] for at, name in enumerate(COLUMNS)}
    monkeypatch.setattr(reference, "_compute", lambda *given: calls.append(given) or values)
    return calls


def run(dataset, model, made=None):
    work = ReferencePass(SimpleNamespace(), lambda: model, made or engine(), 100, lambda: None)
    return with_reference(dataset, work)


def test_computed_once_and_read_again(tmp_path, computed):
    model = torch.nn.Linear(2, 2)
    for _ in range(2):
        found = run(split(tmp_path / "train"), model)
        assert found["reference_rejected"][:] == [0.5, 1.5, 1.0]
    assert len(computed) == 1
    assert [path.name.split("-")[0] for path in tmp_path.glob("*.json")] == ["train"]


def test_other_content_is_computed_anew(tmp_path, computed):
    model, dataset = torch.nn.Linear(2, 2), split(tmp_path / "train")
    run(dataset, model)
    run(split(tmp_path / "other", targets=0), model)
    run(dataset, model, engine("bf16"))
    with torch.no_grad():
        model.bias[0] += 1e-6
    run(dataset, model)
    assert len(computed) == 4


def test_values_are_float32(tmp_path, computed):
    found = run(split(tmp_path / "train"), torch.nn.Linear(1, 1))
    assert found.features["reference_chosen"].dtype == "float32"
    assert np.asarray(found["reference_chosen"][:]).tolist() == [0.5, 1.5, 0.0]
