"""The task without a real model: rows of a batch, the loss against its definition, metrics, findings."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from job.errors import DataError, HopelessError
from job.records import PreparedData
from job.settings.limits import LimitsSettings
from job.workers.tasks.kto import DIVERGENCE, JudgedAnswers, Judgement, JudgementAppraisal
from job.workers.tokenization import TokenizerSetup
from tests.support import language, tiny
from tests.support.inputs import settings
from tests.support.training import OneRank, Rows
from tests.unit.workers.tasks.test_dpo import Bigrams

BETA, GOOD, BAD = 0.5, 2.0, 0.25


def row(name, answer, mismatched, desirable, reference=(0.0, 0.0)):
    sides = {"answer": answer, "mismatched": mismatched}
    return {
        "id": name,
        "text": name.upper(),
        "text_sha256": name,
        **{f"{side}_ids": [1, *ids] for side, ids in sides.items()},
        **{f"{side}_targets": [0, *[1] * len(ids)] for side, ids in sides.items()},
        "desirable": desirable,
        "reference_answer": reference[0],
        "reference_mismatched": reference[1],
    }


ROWS = Rows(
    [
        row("a", [2, 3], [4], True, (-2.0, -9.0)),
        row("b", [5], [2, 2, 2], False, (-1.5, -8.0)),
        row("c", [4], [5], True, (-1.0, -7.0)),
    ]
)


def make(tmp_path, **changes):
    prepared = PreparedData({"train": 3}, {"train": 11}, "judgement", [], [], 8, "0", {"tokenized": [], "stops": [2]})
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=2)
    values = {"PREFERENCE__BETA": str(BETA), "PREFERENCE__DESIRABLE_WEIGHT": str(GOOD), "PREFERENCE__UNDESIRABLE_WEIGHT": str(BAD)}
    return Judgement(tiny.settings(tmp_path, **values, **changes), prepared, tokenizer)


def log_probability(model, ids):
    table = torch.log_softmax(model.table.detach(), dim=-1)
    return float(sum(table[one, other] for one, other in zip([1, *ids[:-1]], ids, strict=True)))


def by_hand(model, given):
    """Ratios of the answers, and of those to other prompts."""
    return [
        [log_probability(model, each[f"{side}_ids"][1:]) - each[f"reference_{side}"] for each in given]
        for side in ("answer", "mismatched")
    ]


def loss_by_hand(ratios, divergence):
    gains = [BETA * (ratio - divergence) for ratio in ratios]
    sigmoid = [1 / (1 + math.exp(-(gain if each["desirable"] else -gain))) for gain, each in zip(gains, ROWS, strict=True)]
    return [(GOOD if each["desirable"] else BAD) * (1 - value) for value, each in zip(sigmoid, ROWS, strict=True)]


def test_the_loss_is_the_papers_whatever_the_cut(tmp_path):
    task, model = make(tmp_path), Bigrams()
    ratios, others = by_hand(model, ROWS)
    divergence = sum(others) / 3
    assert divergence > 0
    expected = sum(loss_by_hand(ratios, divergence))
    for cut in ([ROWS], [ROWS[:1], ROWS[1:]]):
        seen = task.foresee(model, [task.collate(Rows(part)) for part in cut], OneRank())
        assert all(batch.extras[DIVERGENCE].tolist() == pytest.approx([divergence] * len(batch.weights)) for batch in seen)
        losses = [task.loss_sum(model, batch) for batch in seen]
        assert float(sum(losses).detach()) == pytest.approx(expected, rel=1e-5)
    gradient = torch.autograd.grad(losses[-1], model.table)[0]
    assert gradient.abs().sum() > 0


def test_other_ranks_and_fillers_count_as_they_should(tmp_path):
    task, model = make(tmp_path), Bigrams()
    (batch,) = task.foresee(model, [task.collate(ROWS)], SimpleNamespace(device=torch.device("cpu"), sum=lambda _: [6.0, 4.0]))
    assert batch.extras[DIVERGENCE][0] == 1.5
    filler = dataclasses.replace(task.collate(ROWS), weights=torch.zeros(3))
    (batch,) = task.foresee(model, [filler], OneRank())
    assert batch.extras[DIVERGENCE].tolist() == [0.0] * 3
    assert float(task.loss_sum(model, batch).detach()) == 0


def test_a_divergence_that_is_no_number_stays_none(tmp_path):
    task, model = make(tmp_path), Bigrams()
    given = Rows([{**each, "reference_mismatched": float("nan")} for each in ROWS])
    (batch,) = task.foresee(model, [task.collate(given)], OneRank())
    assert batch.extras[DIVERGENCE].isnan().all()


def test_a_divergence_below_nothing_is_none(tmp_path):
    task, model = make(tmp_path), Bigrams()
    given = Rows([{**each, "reference_mismatched": 50.0} for each in ROWS])
    (batch,) = task.foresee(model, [task.collate(given)], OneRank())
    assert batch.extras[DIVERGENCE].tolist() == [0.0] * 3


def test_metrics_and_findings(tmp_path):
    task, model = make(tmp_path), Bigrams()
    with torch.no_grad():
        scores = task.measure(model, task.collate(ROWS))
    ratios, others = by_hand(model, ROWS)
    divergence = max(0.0, sum(others) / 3)
    found = task.metrics(scores)
    assert found["kl"] == pytest.approx(divergence, rel=1e-5)
    assert found["loss"] == pytest.approx(sum(loss_by_hand(ratios, divergence)) / 3, rel=1e-5)
    assert found["reward_desirable"] == pytest.approx(BETA * (ratios[0] + ratios[2]) / 2, rel=1e-5)
    assert found["reward_undesirable"] == pytest.approx(BETA * ratios[1], rel=1e-5)
    right = [ratios[0] > divergence, ratios[1] < divergence, ratios[2] > divergence]
    assert found["reward_accuracy"] == pytest.approx(sum(right) / 3)
    assert (task.main_metric(), task.greater_is_better("kl")) == ("reward_accuracy", False)
    appraisal = JudgementAppraisal(task)
    interval = appraisal.interval(scores, task.settings.eval, 0)
    assert interval["low"] <= found["reward_accuracy"] <= interval["high"]
    findings = appraisal.predictions(scores, Rows(ROWS))
    assert findings.table["gain"].to_pylist() == pytest.approx([BETA * (ratio - divergence) for ratio in ratios], rel=1e-5)
    wrong = [each["id"] for each, fine in zip(ROWS, right, strict=True) if not fine]
    assert sorted(mistake["id"] for mistake in findings.mistakes) == wrong
    assert all(mistake["score"] > 0 for mistake in findings.mistakes)


def test_what_is_no_number_ends_training(tmp_path):
    task = make(tmp_path)
    with torch.no_grad():
        scores = task.measure(Bigrams(), task.collate(ROWS))
    for name in ("answer", "mismatched"):
        with pytest.raises(HopelessError, match="training has diverged"):
            task.metrics({**scores, name: np.array([0.0, np.nan, 0.0])})


def test_answers_of_one_kind_alone_are_refused():
    preparation = JudgedAnswers(settings(TASK="kto"), TokenizerSetup(language.tokenizer(), 64))
    for good, word in ((5, "good"), (0, "bad")):
        split = SimpleNamespace(num_examples=5, without_targets=(), counts={"desirable_answers": good})
        with pytest.raises(DataError, match=f"All 5 answers of the train data are judged {word}") as caught:
            preparation.check("train", split, LimitsSettings())
        assert "JOB_TASK=sft" in caught.value.hint
        preparation.check("eval", split, LimitsSettings())
    split = SimpleNamespace(num_examples=8, without_targets=("a", "b"), counts={"desirable_answers": 3})
    with pytest.raises(DataError, match="nothing left of the answer"):
        preparation.check("train", split, LimitsSettings())
