"""How good the published model is: all metrics, classes, confusion, calibration, and where it was surely wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from job.reporting import formats
from job.reporting.bundle import ReportBundle
from job.reporting.charts import Words
from job.reporting.plots import calibration
from job.reporting.sections.headline import metric_name
from job.reporting.sections.table import Table
from job.reporting.sections.training import Figure

MAX_MATRIX = 12
"""Classes up to which the confusion matrix is shown whole; beyond, the most frequent confusions are listed."""
MAX_CONFUSIONS = 15
MAX_CLASSES = 60
MAX_MISTAKES = 20
MAX_SAMPLED = 8
"""Evaluations whose texts are shown."""
BASELINES = {"majority": "Majority", "untrained": "Untrained"}


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix: the number, its share of the row, and whether it is right."""

    text: str
    percent: int
    right: bool


def scores(bundle: ReportBundle) -> dict[str, Any]:
    """Everything about the scored split."""
    metrics = bundle.evaluation.get("metrics", {})
    labels = [str(label) for label in bundle.prepared.get("labels", [])]
    counts = metrics.get("confusion_matrix") or []
    whole = len(counts) <= MAX_MATRIX
    return {
        "all": all_metrics(bundle),
        "matrix": matrix(counts, labels) if whole else [],
        "labels": labels,
        "confusions": Table("", (), ()) if whole else confusions(counts, labels),
        "classes": classes(metrics),
        "classes_left_out": max(0, len(_per_class(metrics)) - MAX_CLASSES),
        "calibration": _calibration(metrics),
        "samples": samples(bundle),
        "numbers": bundle.problem == "regression",
        "texts": bundle.problem == "seq2seq",
        "mistakes": [_mistake(mistake, bundle.problem) for mistake in bundle.mistakes[:MAX_MISTAKES]],
    }


def samples(bundle: ReportBundle) -> list[tuple[str, list[dict[str, Any]]]]:
    """Texts to read, of the published model and of the evaluations during training, newest first: heading, texts."""
    found = [("The published model", bundle.evaluation.get("samples", []))]
    found += [(f"After step {formats.count(record['step'])}", record.get("samples", [])) for record in reversed(bundle.metrics)]
    return [(heading, texts) for heading, texts in found if texts][:MAX_SAMPLED]


def all_metrics(bundle: ReportBundle) -> Table:
    """Every metric that is one number, beside the baselines."""
    metrics, baselines = bundle.evaluation.get("metrics", {}), bundle.evaluation.get("baselines", {})
    # The same number twice says nothing: for classification the loss is the log loss.
    shown = [
        key for key, value in metrics.items() if isinstance(value, int | float) and not (key == "log_loss" and "loss" in metrics)
    ]
    beside = [key for key in BASELINES if key in baselines] or list(BASELINES)
    columns = ("Metric", "This model", *(BASELINES[key] for key in beside))
    sides = (metrics, *(baselines.get(key, {}) for key in beside))
    return Table("All metrics", columns, [(metric_name(key), *(formats.metric(side.get(key)) for side in sides)) for key in shown])


def matrix(counts: list[list[int]], labels: list[str]) -> list[tuple[str, list[Cell]]]:
    """The confusion matrix as rows: true label, cells."""
    return [
        (label, [Cell(formats.count(number), round(100 * number / max(1, sum(row))), at == place) for at, number in enumerate(row)])
        for place, (label, row) in enumerate(zip(labels, counts, strict=False))
    ]


def confusions(counts: list[list[int]], labels: list[str]) -> Table:
    """The pairs of labels that were taken for each other most often."""
    pairs = [
        (number, sum(row), labels[true], labels[said])
        for true, row in enumerate(counts)
        for said, number in enumerate(row)
        if true != said and number
    ]
    pairs.sort(key=lambda pair: -pair[0])
    rows = [
        (true, said, formats.count(number), formats.share(number, whole)) for number, whole, true, said in pairs[:MAX_CONFUSIONS]
    ]
    return Table("Most frequent confusions", ("True label", "Predicted", "Examples", "Of the true label"), rows)


def _per_class(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(metrics.get("per_class") or metrics.get("per_label") or {})


def classes(metrics: dict[str, Any]) -> Table:
    """Precision, recall and F1 of each class, those with most examples first."""
    found = sorted(_per_class(metrics).items(), key=lambda item: -item[1].get("support", 0))[:MAX_CLASSES]
    keys = ("precision", "recall", "f1")
    rows = [
        (name, *(formats.metric(values.get(key)) for key in keys), formats.count(values.get("support"))) for name, values in found
    ]
    return Table("Each label", ("Label", "Precision", "Recall", "F1", "Examples"), rows)


def _calibration(metrics: dict[str, Any]) -> Figure | None:
    table = metrics.get("calibration") or {}
    bins = [
        (confidence, accuracy, number)
        for confidence, accuracy, number in zip(*(table.get(key, []) for key in ("confidence", "accuracy", "counts")), strict=True)
        if number
    ]
    error = formats.metric(metrics.get("ece"))
    words = Words("Calibration", f"Share of right answers against the model's confidence; expected calibration error {error}.")
    chart = calibration(words, bins)
    note = f"How often it is right (upwards) when it is so sure. Size: number of examples. Expected calibration error {error}."
    return Figure("Calibration", chart, note) if chart else None


def _mistake(mistake: dict[str, Any], problem: str) -> dict[str, str]:
    kind = {"regression": "off by", "seq2seq": "ROUGE L"}.get(problem, "score")
    return {
        "id": str(mistake.get("id", "")),
        "text": str(mistake.get("text", "")),
        "label": _label(mistake.get("label")),
        "prediction": _label(mistake.get("prediction")),
        "score": f"{kind} {formats.metric(mistake.get('score'))}",
    }


def _label(label: Any) -> str:
    if isinstance(label, list):
        return ", ".join(map(str, label)) or "none"
    return formats.metric(label) if isinstance(label, float) else str(label)
