import pytest

from job.errors import SettingsError
from job.settings.evaluation import EvalSettings
from job.workers.scoring import Examples
from job.workers.state import BestMetric, TrainState
from job.workers.validation import Validation, best_metric
from tests.support.training import OneRank, RowsTask, TwoLayers, rows


class Calls:
    def __init__(self):
        self.kept, self.records, self.go = 0, [], True

    def keep(self):
        self.kept += 1


def validation(calls, task=None, name="accuracy", engine=None):
    return Validation(
        engine or OneRank(),
        EvalSettings(),
        TwoLayers(),
        Examples(task or RowsTask(), rows(9), 100),
        BestMetric(name),
        keep_going=lambda: calls.go,
        keep_best=calls.keep,
        record=calls.records.append,
    )


class Scripted(RowsTask):
    def __init__(self, *values):
        self.values = list(values)

    def metrics(self, scores):
        return {"accuracy": self.values.pop(0)}


def test_evaluates_records_and_keeps_the_best():
    calls, state = Calls(), TrainState(step=4)
    assert validation(calls)(state)
    (record,) = calls.records
    assert record.keys() == {"eval/accuracy", "eval/examples"}  # scalars alone
    assert record["eval/examples"] == 9
    assert (state.evaluated_step, state.best_step, state.best_value) == (4, 4, record["eval/accuracy"])
    assert calls.kept == 1


def test_weights_are_kept_only_when_they_are_the_best():
    calls, state = Calls(), TrainState()
    evaluate = validation(calls, Scripted(0.5, 0.25, None, float("nan"), 0.75))
    kept = []
    for step in range(1, 6):
        state.step = step
        assert evaluate(state)
        kept.append(calls.kept)
    assert kept == [1, 1, 1, 1, 2]
    assert (state.best_step, state.evaluated_step, len(calls.records)) == (5, 5, 5)


def test_other_ranks_follow():
    calls, state = Calls(), TrainState(step=4)
    engine = OneRank(rank=1, world_size=2)
    engine.broadcast = lambda value: {"accuracy": 0.5} if value is None else pytest.fail("rank 1 has no scores")
    assert validation(calls, engine=engine)(state)
    assert (state.best_value, state.evaluated_step, calls.kept) == (0.5, 4, 1)  # each rank keeps what it holds


def test_without_a_best_metric_nothing_is_kept():
    calls, state = Calls(), TrainState(step=4)
    assert validation(calls, name=None)(state)
    assert (calls.kept, state.best_step, len(calls.records)) == (0, -1, 1)


def test_an_interrupted_evaluation_changes_nothing():
    calls, state = Calls(), TrainState(step=4)
    calls.go = False
    assert not validation(calls)(state)
    assert state == TrainState(step=4)
    assert (calls.kept, calls.records) == (0, [])


def test_best_metric():
    assert best_metric(EvalSettings(best_metric="none"), RowsTask()) == BestMetric(None)
    assert best_metric(EvalSettings(), RowsTask()) == BestMetric("accuracy", greater_is_better=True)
    assert best_metric(EvalSettings(best_metric="loss"), RowsTask()) == BestMetric("loss", greater_is_better=False)
    with pytest.raises(SettingsError):
        best_metric(EvalSettings(best_metric="fame"), RowsTask())
