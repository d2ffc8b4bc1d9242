"""Several runs side by side: the settings in which they differ, their scores with intervals, which is best and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from job.reporting import formats
from job.reporting.plots import Estimate
from job.reporting.sections.headline import metric_name
from job.reporting.sections.table import Table

_LONGEST_VALUE = 40
_ABSENT = object()
_NAMED = 6
"""Runs that a sentence names."""


@dataclass(frozen=True)
class Variant:
    """A run as its place has it.

    Args:
        name: of the run.
        state: ``complete``, ``running ...``, ``failed with ...``: how it stands.
        settings: values that decide the result, and places of inputs, by variable; empty where nothing is known.
        seconds: from the start of each attempt to its last sign in the log, all attempts together.
        evaluation: `EvalReport` of the published model as a dict; empty without one.
        note: why it failed, how far it came.
        model_uri: where the published model lies.
    """

    name: str
    state: str
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    evaluation: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    model_uri: str = ""

    @property
    def value(self) -> float | None:
        """The main metric; None without a score."""
        found = self.evaluation.get("metrics", {}).get(self.evaluation.get("main_metric"))
        return found if isinstance(found, int | float) else None

    @property
    def estimate(self) -> Estimate:
        """The score with its interval, for a run that has one."""
        interval = self.evaluation.get("interval", {})
        return Estimate(self.name, self.value or 0.0, interval.get("low"), interval.get("high"))


@dataclass(frozen=True)
class Comparison:
    """What is said about some runs.

    Args:
        metric: the main metric that all scored runs share; empty where they share none.
        differing: variables whose values differ, in order.
        scored: best first; in the order of their names where they cannot be compared.
        unscored: the others.
        verdict: sentences: the best, how sure that is, what is missing.
    """

    metric: str
    differing: tuple[str, ...]
    scored: tuple[Variant, ...]
    unscored: tuple[Variant, ...]
    verdict: tuple[str, ...]

    @property
    def best(self) -> Variant | None:
        """The best run; None where none can be named."""
        return self.scored[0] if self.scored and self.metric else None


def compare(variants: Sequence[Variant]) -> Comparison:
    """Put runs side by side."""
    scored = [one for one in variants if one.value is not None]
    unscored = tuple(one for one in variants if one.value is None)
    doubts = _doubts(scored)
    metric = "" if doubts or not scored else str(scored[0].evaluation["main_metric"])
    if metric:
        sign = -1 if scored[0].evaluation["greater_is_better"] else 1
        scored.sort(key=lambda one: (sign * (one.value or 0.0), one.name))
    verdict = [*doubts, *(_verdict(scored, metric) if metric else []), *_missing(unscored, len(variants))]
    return Comparison(metric, _differing(variants), tuple(scored), unscored, tuple(verdict))


def table(comparison: Comparison) -> Table:
    """One row a run, the best first."""
    values = ["Score" if not comparison.metric else metric_name(comparison.metric), "Interval"]
    columns = ["Run", *values, *(_short(name) for name in comparison.differing), "Time", "State"]
    rows = [
        [
            one.name,
            *_score(one, named=not comparison.metric),
            *(_value(one.settings.get(name, _ABSENT)) for name in comparison.differing),
            formats.duration(one.seconds) if one.seconds else formats.MISSING,
            one.state,
        ]
        for one in (*comparison.scored, *comparison.unscored)
    ]
    return Table("Runs", columns, rows, numeric=False)


def text(comparison: Comparison) -> str:
    """The table and the sentences, for a terminal."""
    found = table(comparison)
    lines = [list(found.columns), *map(list, found.rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(found.columns))]
    drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    notes = [f"{one.name}: {one.note}" for one in (*comparison.scored, *comparison.unscored) if one.note]
    return "\n".join([*drawn, "", *comparison.verdict, *notes])


def overlapping(one: Variant, other: Variant) -> bool:
    """Whether two intervals have a value in common; runs without intervals are taken to."""
    first, second = one.estimate, other.estimate
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return True
    return first.low <= second.high and second.low <= first.high


def _verdict(scored: Sequence[Variant], metric: str) -> list[str]:
    best, others = scored[0], scored[1:]
    about, level = best.evaluation, best.evaluation.get("interval", {}).get("level")
    split = "test" if about.get("split") == "test" else "validation"
    interval = f" ({100 * level:g} % interval {_interval(best)})" if level else ""
    said = [
        f"Best: {best.name}, {metric_name(metric)} {formats.metric(best.value)}{interval} on {formats.count(about.get('num_examples'))} {split} examples."
    ]
    near = [one.name for one in others if overlapping(best, one)]
    if near:
        which = "all others" if len(near) == len(others) > 1 else _listed(near)
        said.append(f"Its interval overlaps {which}: these examples alone do not decide which is better.")
    elif others:
        said.append("Its interval lies apart from all others.")
    if len(scored) > 1 and split == "validation":
        said.append(
            "The scores are of the validation data, which also chose each run's published step: the best of them is flattered twice."
        )
    elif len(scored) > 1:
        said.append("The best of several looks a little better on the examples that chose it than it will on others.")
    return said


def _doubts(scored: Sequence[Variant]) -> list[str]:
    """Why scores cannot be set against each other."""
    metrics = sorted({str(one.evaluation["main_metric"]) for one in scored})
    if len(metrics) > 1:
        return [f"The runs have unlike main metrics ({', '.join(map(metric_name, metrics))}): no best is named."]
    examples = sorted({(str(one.evaluation.get("split")), one.evaluation.get("num_examples") or 0) for one in scored})
    if len(examples) > 1:
        listed = ", ".join(f"{formats.count(number)} of {split}" for split, number in examples)
        return [f"The runs were scored on unlike examples ({listed}): no best is named."]
    if any(not isinstance(one.evaluation.get("greater_is_better"), bool) for one in scored):
        return ["The scores do not say in which direction they are better, as an older version wrote them: no best is named."]
    return []


def _missing(unscored: Sequence[Variant], total: int) -> list[str]:
    if not unscored:
        return []
    if len(unscored) == total:
        return ["No run has published a score yet."]
    listed = _listed([f"{one.name} ({one.state})" for one in unscored])
    return [f"{len(unscored)} of {total} runs have no score: {listed}."]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _differing(variants: Sequence[Variant]) -> tuple[str, ...]:
    """Variables of which two runs that say anything say different things."""
    told = [one.settings for one in variants if one.settings]
    names = dict.fromkeys(name for settings in told for name in settings)
    return tuple(name for name in names if len({repr(settings.get(name, _ABSENT)) for settings in told}) > 1)


def _score(one: Variant, *, named: bool) -> list[str]:
    if one.value is None:
        return [formats.MISSING, formats.MISSING]
    name = f" {metric_name(str(one.evaluation['main_metric']))}" if named else ""
    return [formats.metric(one.value) + name, _interval(one)]


def _interval(one: Variant) -> str:
    found = one.estimate
    return formats.MISSING if found.low is None else f"{formats.metric(found.low)} to {formats.metric(found.high)}"


def _short(variable: str) -> str:
    """``JOB_TRAIN__LEARNING_RATE`` as a column's head."""
    return variable.removeprefix("JOB_").replace("__", ".").lower()


def _value(value: Any) -> str:
    """A setting's value as one would write it."""
    if value is _ABSENT:
        return formats.MISSING
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "true" if value else "false"
    found = ",".join(map(str, value)) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
    return found if len(found) <= _LONGEST_VALUE else f"{found[:_LONGEST_VALUE]}..."
