"""The comparison as one HTML file that needs nothing else, in the report's own style."""

from __future__ import annotations

from job.reporting import formats
from job.reporting.charts import Words
from job.reporting.comparison import Comparison, table
from job.reporting.plots import comparison as drawing
from job.reporting.report import environment
from job.reporting.scale import covering
from job.reporting.sections.headline import metric_name

MAX_DRAWN = 40
"""Runs whose intervals are drawn, the best ones."""


def render(found: Comparison, place: str) -> str:
    """The page.

    Args:
        found: the runs.
        place: where they lie, as a person gave it.
    """
    best, metric = found.best, found.metric
    estimates = [one.estimate for one in found.scored[:MAX_DRAWN]] if metric else []
    known = [value for one in estimates for value in (one.value, one.low, one.high) if value is not None]
    words = Words(f"{metric_name(metric)} of each run", ", ".join(f"{one.label} {formats.metric(one.value)}" for one in estimates))
    notes = [(one.name, one.note) for one in (*found.scored, *found.unscored) if one.note]
    models = [(one.name, one.model_uri) for one in found.scored if one.model_uri]
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            place=place,
            best=best.name if best else "",
            metric=metric_name(metric),
            value=formats.metric(best.value) if best else "",
            verdict=found.verdict,
            chart=drawing(words, estimates, covering(known)) if estimates else None,
            not_drawn=max(0, len(found.scored) - MAX_DRAWN) if metric else 0,
            table=table(found),
            same=not found.differing,
            notes=notes,
            models=models,
        )
    )
