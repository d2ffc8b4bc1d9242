"""A fake: ``supervise.run``, which writes the report that the evaluation program would."""

import pytest

from job.errors import DataError
from job.records import EvalReport, TrainResult
from job.stages import evaluate as stage
from job.stages.evaluate import evaluate

REPORT = EvalReport("test", 5, "accuracy", {"accuracy": 0.5}, {}, {})
TRAINED = TrainResult(20, 1.0, 10, "accuracy", 0.5, 100)


def test_always_anew(context, monkeypatch):
    programs = []

    def run(crew, program):
        programs.append((crew, program))
        REPORT.write(context.run_dir.evaluation / "report.json")

    monkeypatch.setattr(stage.supervise, "run", run)
    assert evaluate(context, TRAINED) == evaluate(context, TRAINED) == REPORT
    assert [program for _, program in programs] == ["evaluate"] * 2
    assert all(crew.topology.num_nodes == 1 and crew.run_dir is context.run_dir for crew, _ in programs)


def test_an_old_report_does_not_stand_for_a_failed_evaluation(context, monkeypatch):
    REPORT.write(context.run_dir.evaluation / "report.json")

    def fail(*_):
        raise DataError("x")

    monkeypatch.setattr(stage.supervise, "run", fail)
    with pytest.raises(DataError):
        evaluate(context, TRAINED)
