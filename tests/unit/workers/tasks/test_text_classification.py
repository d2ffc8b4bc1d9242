"""The task against transformers' own losses and collator, and torch's weighted mean."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers.loss.loss_utils import ForSequenceClassificationLoss

from job.errors import HopelessError, SettingsError
from job.records import PreparedData
from job.workers.tasks import make_task
from job.workers.tasks.base import Batch
from tests.support import tiny

LABELS = {
    "single_label": [2, 0, 1, 2, 2],
    "multi_label": [[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]],
    "regression": [0.5, -1.0, 2.0, 0.0, 3.0],
}
PROBLEM_TYPES = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}


def task(tmp_path, problem="single_label", counts=(6, 3, 1), side="right", **more):
    labels = [] if problem == "regression" else ["a", "b", "c"]
    prepared = PreparedData({"train": sum(counts)}, {"train": 50}, problem, labels, list(counts), 16, "0")
    tokenizer = SimpleNamespace(pad_token_id=9, pad_token_type_id=0, padding_side=side)
    return make_task(tiny.settings(tmp_path, PARALLEL__DEVICE="cpu", **more), prepared, tokenizer)


def rows(problem, lengths=(3, 1, 4, 2, 2)):
    return [{"id": str(at), "input_ids": list(range(1, n + 1)), "label": LABELS[problem][at]} for at, n in enumerate(lengths)]


def gives(logits):
    """A model that answers with these logits."""
    return lambda **_: SimpleNamespace(logits=logits)


@pytest.mark.parametrize("problem", LABELS)
def test_the_loss_is_transformers_own(tmp_path, problem):
    chosen = task(tmp_path, problem)
    batch = chosen.collate(rows(problem))
    columns = 1 if problem == "regression" else 3
    logits = torch.randn(5, columns, generator=torch.Generator().manual_seed(1))
    config = SimpleNamespace(num_labels=columns, problem_type=PROBLEM_TYPES[problem])
    theirs = ForSequenceClassificationLoss(batch.labels, logits, config)
    ours = chosen.loss_sum(gives(logits), batch) / batch.weights.sum()
    assert ours.dtype == torch.float32
    assert abs(float(ours - theirs)) < 1e-6


def test_balanced_weights_give_torchs_weighted_mean(tmp_path):
    chosen = task(tmp_path, TRAIN__CLASS_WEIGHTS="balanced")
    batch = chosen.collate(rows("single_label"))
    weights = torch.tensor([10 / 18, 10 / 9, 10 / 3])
    torch.testing.assert_close(batch.weights, weights[torch.tensor(LABELS["single_label"])])
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    theirs = torch.nn.CrossEntropyLoss(weight=weights)(logits, batch.labels)
    assert abs(float(chosen.loss_sum(gives(logits), batch) / batch.weights.sum() - theirs)) < 1e-6


def test_balanced_weights_are_one_on_average_also_when_a_class_never_occurs(tmp_path):
    chosen = task(tmp_path, counts=(8, 0, 2), TRAIN__CLASS_WEIGHTS="balanced")
    weights = chosen.collate([{"input_ids": [1], "label": label} for label in [0] * 8 + [2] * 2]).weights
    assert float(weights.mean()) == pytest.approx(1.0)
    assert weights[0] == pytest.approx(10 / 16)


@pytest.mark.parametrize("problem", ["multi_label", "regression"])
def test_balanced_weights_need_one_label_per_example(tmp_path, problem):
    with pytest.raises(SettingsError, match="JOB_TRAIN__CLASS_WEIGHTS"):
        task(tmp_path, problem, TRAIN__CLASS_WEIGHTS="balanced")


def test_a_filler_adds_nothing(tmp_path):
    chosen = task(tmp_path)
    batch = chosen.collate(rows("single_label"))
    assert float(chosen.loss_sum(gives(torch.randn(5, 3)), Batch(batch.inputs, batch.labels, batch.weights * 0))) == 0.0


def test_the_loss_of_bfloat16_logits_is_summed_in_float32(tmp_path):
    chosen = task(tmp_path)
    batch = chosen.collate(rows("single_label"))
    logits = torch.randn(5, 3).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = chosen.loss_sum(gives(logits), batch)
    assert found.dtype == torch.float32
    assert float(found) == float(chosen.loss_sum(gives(logits.float()), batch))


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_is_to_the_longest_at_the_tokenizers_side(tmp_path, side):
    batch = task(tmp_path, side=side).collate(rows("single_label", (3, 1)))
    short = {"right": ([1, 9, 9], [1, 0, 0]), "left": ([9, 9, 1], [0, 0, 1])}[side]
    assert batch.inputs["input_ids"].tolist() == [[1, 2, 3], short[0]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1], short[1]]
    assert set(batch.inputs) == {"input_ids", "attention_mask"}
    assert batch.inputs["input_ids"].dtype == batch.labels.dtype == torch.int64


def test_a_pad_token_in_the_text_is_attended_to(tmp_path):
    batch = task(tmp_path).collate([{"input_ids": [1, 9], "label": 0}, {"input_ids": [1, 2, 3], "label": 0}])
    assert batch.inputs["attention_mask"][0].tolist() == [1, 1, 0]


def test_segment_ids_go_along(tmp_path):
    batch = task(tmp_path).collate(
        [{"input_ids": [1, 2], "token_type_ids": [0, 1], "label": 0}, {"input_ids": [1], "token_type_ids": [0], "label": 1}]
    )
    assert batch.inputs["token_type_ids"].tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("problem", "kind"), [("multi_label", torch.float32), ("regression", torch.float32), ("single_label", torch.int64)]
)
def test_labels_have_the_losss_type(tmp_path, problem, kind):
    assert task(tmp_path, problem).collate(rows(problem)).labels.dtype == kind


def test_diverged_output_ends_the_run(tmp_path):
    with pytest.raises(HopelessError, match="1 of 2 examples"):
        task(tmp_path).metrics({"logits": np.array([[1.0, np.nan, 0.0], [1.0, 2.0, 3.0]]), "labels": np.array([0, 1])})


def test_main_metrics_and_directions(tmp_path):
    chosen = {problem: task(tmp_path, problem) for problem in LABELS}
    assert {problem: each.main_metric() for problem, each in chosen.items()} == {
        "single_label": "accuracy",
        "multi_label": "f1_micro",
        "regression": "mse",
    }
    assert chosen["single_label"].greater_is_better("accuracy")
    assert not chosen["regression"].greater_is_better("mse")
