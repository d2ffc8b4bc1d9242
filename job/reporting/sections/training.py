"""How training went: curves over the optimizer steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from job.reporting import formats
from job.reporting.bundle import ReportBundle
from job.reporting.charts import Series, Words, curves
from job.reporting.sections.headline import metric_name


@dataclass(frozen=True)
class Figure:
    """A chart with what stands above and below it."""

    title: str
    chart: Markup
    note: str = ""


def training(bundle: ReportBundle) -> dict[str, Any]:
    """The figures of what was recorded: loss, main metric, learning rate, gradient norm, throughput, padding."""
    drawn = [_loss(bundle), _score(bundle), _rate(bundle), _gradient(bundle), _throughput(bundle), _padding(bundle)]
    return {"figures": [figure for figure in drawn if figure]}


def _best(bundle: ReportBundle) -> float | None:
    """The published step, where it was chosen by a metric."""
    return bundle.train.get("best_step") if bundle.train.get("best_metric", "none") != "none" else None


def _loss(bundle: ReportBundle) -> Figure | None:
    train, evaluation = bundle.curve("train/loss"), bundle.curve("eval/loss")
    series = [Series("training", train, "two"), Series("validation", evaluation, "one", dots=True)]
    words = Words("Loss", " ".join(filter(None, [_ends("Training", train), _ends("Validation", evaluation)])))
    chart = curves(words, series, best=_best(bundle))
    return Figure("Loss", chart, "Mean cross-entropy or squared error per example.") if chart else None


def _score(bundle: ReportBundle) -> Figure | None:
    """The metric that chose the published step; the task's main one where that is the loss, which has its own chart."""
    chosen = bundle.train.get("best_metric", "none")
    metric = chosen if chosen not in ("none", "loss") else bundle.main_metric
    points = bundle.curve(f"eval/{metric}")
    title = f"Validation {metric_name(metric)}"
    chart = curves(Words(title, _ends("It", points)), [Series(metric, points, "one", dots=True)], best=_best(bundle))
    return Figure(title, chart) if chart else None


def _rate(bundle: ReportBundle) -> Figure | None:
    points = bundle.curve("train/learning_rate")
    chart = curves(Words("Learning rate", _ends("It", points)), [Series("learning rate", points, noisy=False)], zero=True)
    return Figure("Learning rate", chart) if chart else None


def _gradient(bundle: ReportBundle) -> Figure | None:
    points = bundle.curve("train/grad_norm")
    chart = curves(Words("Gradient norm", _ends("It", points)), [Series("gradient norm", points)], zero=True)
    bound = bundle.settings.get("train", {}).get("max_grad_norm")
    return Figure("Gradient norm", chart, f"Before clipping to {bound:g}." if bound else "") if chart else None


def _throughput(bundle: ReportBundle) -> Figure | None:
    points = bundle.curve("perf/tokens_per_second")
    chart = curves(Words("Tokens per second", _ends("It", points)), [Series("tokens", points)], zero=True)
    middle = sorted(value for _, value in points)[len(points) // 2] if points else None
    return Figure("Tokens per second", chart, f"Without padding. Median {formats.count(middle)}.") if chart else None


def _padding(bundle: ReportBundle) -> Figure | None:
    title, points = "Padding, per cent", [(step, 100 * value) for step, value in bundle.curve("perf/padding_share")]
    chart = curves(Words(title, _ends("It", points)), [Series("padding", points)], zero=True)
    mean = sum(value for _, value in points) / max(1, len(points))
    note = f"Share of the computed tokens that are padding. Mean {formats.share(mean, 100)}."
    return Figure(title, chart, note) if chart else None


def _ends(name: str, points: list[tuple[float, float]]) -> str:
    """A curve in words: where it starts and where it ends."""
    if not points:
        return ""
    (first, start), (last, end) = points[0], points[-1]
    return f"{name} goes from {formats.metric(start)} at step {formats.count(first)} to {formats.metric(end)} at step {formats.count(last)}."
