import dataclasses

from job.reporting.bundle import ReportBundle
from job.reporting.sections import scores
from tests.support import bundles


def test_matrix_shares_are_of_the_row():
    rows = scores.scores(bundles.single_label())["matrix"]
    assert [(label, [(cell.text, cell.percent, cell.right) for cell in cells]) for label, cells in rows] == [
        ("negative", [("404", 92, True), ("34", 8, False)]),
        ("positive", [("29", 5, False), ("533", 95, True)]),
    ]


def test_too_many_classes_for_a_matrix_are_listed_by_confusion():
    shown = scores.scores(bundles.many_classes())
    assert shown["matrix"] == []
    assert len(shown["confusions"].rows) == scores.MAX_CONFUSIONS


def test_most_frequent_confusion_comes_first():
    table = scores.confusions([[5, 1, 0], [7, 1, 0], [0, 2, 8]], ["a", "b", "c"])
    assert [row[:3] for row in table.rows] == [("b", "a", "7"), ("c", "b", "2"), ("a", "b", "1")]


def test_every_scalar_metric_stands_beside_the_baselines_once():
    rows = {row[0]: row[1:] for row in scores.all_metrics(bundles.single_label()).rows}
    assert rows["accuracy"] == ("0.937", "0.562", "0.471")
    assert "log loss" not in rows
    assert "confusion matrix" not in rows


def test_labels_of_several_numbers_and_none():
    multi = scores.scores(bundles.multi_label())["mistakes"][0]
    assert (multi["label"], multi["prediction"]) == ("science", "none")
    number = scores.scores(bundles.regression())["mistakes"][0]
    assert (number["label"], number["prediction"], number["score"]) == ("1.000", "4.812", "off by 3.812")


def test_written_texts_are_measured_by_rouge():
    bundle = bundles.single_label()
    written = dataclasses.replace(bundle, prepared={**bundle.prepared, "problem": "seq2seq"})
    shown = scores.scores(written)
    assert shown["texts"]
    assert not scores.scores(bundle)["texts"]
    assert shown["mistakes"][0]["score"].startswith("ROUGE L ")


def test_empty_bins_are_no_points():
    assert scores.scores(bundles.single_label())["calibration"].chart.count("<circle") == 8


def test_no_evaluation_is_no_scores():
    shown = scores.scores(ReportBundle("x"))
    assert not any((shown["all"], shown["matrix"], shown["confusions"], shown["classes"], shown["calibration"], shown["mistakes"]))


def test_a_task_without_a_constant_answer_has_no_column_for_it():
    shown = ReportBundle("x", evaluation={"metrics": {"loss": 1.5}, "baselines": {"untrained": {"loss": 3.0}}})
    table = scores.all_metrics(shown)
    assert (table.columns, table.rows) == (("Metric", "This model", "Untrained"), [("loss", "1.500", "3.000")])


def test_samples_of_the_published_model_come_first_then_the_newest():
    sample = [{"title": "Prompt 1", "text": "a → b"}]
    records = [{"step": 2, "eval/loss": 1, "samples": sample}, {"step": 4, "eval/loss": 1, "samples": sample}, {"step": 5}]
    found = scores.samples(ReportBundle("x", evaluation={"samples": sample}, metrics=records))
    assert [heading for heading, _ in found] == ["The published model", "After step 4", "After step 2"]
