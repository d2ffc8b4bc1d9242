"""The report's parts without a process group; the program itself is in tests/integration/test_evaluate.py."""

import json

import numpy as np
import pytest

from job.records import EvalReport, PreparedData
from job.run_dir import RunDir
from job.workers import evaluate
from job.workers.evaluate import Subject, make_report, write_evaluation
from job.workers.tasks import make_appraisal, make_task
from tests.support import tiny

PREPARED = PreparedData({"train": 10}, {"train": 50}, "single_label", ["a", "b"], [6, 4], 16, "0")
SCORES = {"logits": np.array([[2.0, 0], [0, 2], [1, 0]], np.float32), "labels": np.array([0, 1, 1])}
WORSE = {"logits": -SCORES["logits"], "labels": SCORES["labels"]}


class Rows:
    """A prepared split of three examples, as far as the evaluation looks at it."""

    columns = {"id": ["x", "y", "z"], "text_sha256": ["0" * 64] * 3, "text": ["one", "two", "three"]}

    def __len__(self):
        return 3

    def __getitem__(self, key):
        return self.columns[key] if isinstance(key, str) else {name: values[key] for name, values in self.columns.items()}


@pytest.fixture
def subject(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "load_from_disk", lambda folder: None)  # the training split, which only a regression reads
    settings = tiny.settings(tmp_path)
    task = make_task(settings, PREPARED, None)
    return Subject(RunDir(tmp_path), settings, PREPARED, task, make_appraisal(settings, task), "test", Rows())


def test_the_report_sets_the_score_beside_its_baselines(subject):
    report = make_report(subject, SCORES, WORSE)
    assert (report.split, report.num_examples, report.main_metric) == ("test", 3, "accuracy")
    assert report.metrics["accuracy"] == pytest.approx(2 / 3) == report.interval["value"]
    assert report.baselines["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert report.baselines["untrained"]["accuracy"] == pytest.approx(1 / 3)
    assert "confusion_matrix" not in report.baselines["majority"]
    assert report.interval["samples"] == subject.settings.eval.bootstrap_samples


def test_the_folder_is_replaced_as_a_whole(subject):
    folder = subject.run_dir.evaluation
    folder.mkdir()
    (folder / "stale").touch()
    report = make_report(subject, SCORES, WORSE)
    write_evaluation(subject, SCORES, report)
    assert sorted(path.name for path in folder.iterdir()) == ["mistakes.json", "predictions.parquet", "report.json"]
    assert EvalReport.read(folder / "report.json") == report
    (mistake,) = json.loads((folder / "mistakes.json").read_text())
    assert {name: mistake[name] for name in ("id", "text", "label", "prediction")} == {
        "id": "z",
        "text": "three",
        "label": "b",
        "prediction": "a",
    }


def test_a_failed_write_leaves_the_old_folder(subject):
    subject.run_dir.evaluation.mkdir()
    report = make_report(subject, SCORES, WORSE)
    report.metrics["accuracy"] = float("nan")
    with pytest.raises(ValueError, match="Out of range"):
        write_evaluation(subject, SCORES, report)
    assert list(subject.run_dir.evaluation.iterdir()) == []
