"""The report's plots of one moment: lengths, calibration, the result between its baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from job.reporting import formats, svg
from job.reporting.charts import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH, Frame, Words
from job.reporting.scale import Scale, covering, ticks

ROW_HEIGHT = 44.0


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval, or without one."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


def lengths(words: Words, edges: Sequence[float], counts: Sequence[int], cut: int | None) -> Markup | None:
    """How long the examples are; bins right of ``cut`` (the longest length that is kept) are drawn as lost.

    Args:
        words: title and description.
        edges: edges of the bins in tokens, one more than there are bins.
        counts: examples in each bin.
        cut: None when nothing is cut.
    """
    if not counts or not any(counts):
        return None
    frame = Frame.around((edges[0], edges[-1]), covering(counts, zero=True))
    parts = [*frame.grid(), *frame.bottom(ticks(edges[0], edges[-1]), "tokens")]
    for low, high, number in zip(edges, edges[1:], counts, strict=False):
        if number:
            lost = cut is not None and low >= cut
            parts.append(_column(frame, (low, high, number), "bar lost" if lost else "bar one"))
    if cut is not None and edges[0] < cut < edges[-1]:
        x = frame.x(cut)
        late = x > frame.x.end - 80
        parts.append(svg.line((x, TOP), (x, HEIGHT - BOTTOM), "mark"))
        parts.append(
            svg.text((x - 4 if late else x + 4, TOP + 7), f"cut at {formats.count(cut)}", "note", "end" if late else "start")
        )
    return svg.drawing((WIDTH, HEIGHT), words.title, words.description, parts)


def _column(frame: Frame, column: tuple[float, float, int], class_: str) -> Markup:
    low, high, number = column
    left, right, top = frame.x(low), frame.x(high), frame.y(number)
    gap = 1.0 if right - left > 3 else 0.0
    hint = f"{formats.count(low)} to {formats.count(high)} tokens: {formats.count(number)}"
    # At least a hair high: a single very long text is what one looks for here.
    height = max(frame.y.start - top, 1.0)
    return svg.bar((left + gap / 2, frame.y.start - height), (right - left - gap, height), class_, hint)


def calibration(words: Words, bins: Sequence[tuple[float, float, int]]) -> Markup | None:
    """How often the model is right when it is so sure: on the diagonal it knows how good it is.

    Args:
        words: title and description.
        bins: (mean confidence, accuracy, examples), empty bins left out.
    """
    if not bins:
        return None
    frame = Frame.around((0.0, 1.0), (0.0, 1.0))
    total = sum(number for *_, number in bins)
    parts = [
        *frame.grid(),
        *frame.bottom([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], ""),
        svg.line(frame.at((0, 0)), frame.at((1, 1)), "mark"),
        svg.path((frame.at((confidence, accuracy)) for confidence, accuracy, _ in bins), "curve faint one"),
    ]
    for confidence, accuracy, number in bins:
        hint = f"confidence {confidence:.2f}, right {accuracy:.2f}, {formats.count(number)} examples"
        # Area, not radius, is in proportion to the number of examples.
        parts.append(svg.dot(frame.at((confidence, accuracy)), 2.0 + 8.0 * (number / total) ** 0.5, "bubble one", hint))
    return svg.drawing((WIDTH, HEIGHT), words.title, words.description, parts)


def comparison(words: Words, estimates: Sequence[Estimate], bounds: tuple[float, float] | None) -> Markup | None:
    """The result, the first of the estimates, above its baselines on one axis.

    Args:
        words: title and description.
        estimates: at least one.
        bounds: the axis, for metrics that have one; else it covers the values.
    """
    if not estimates:
        return None
    known = [value for one in estimates for value in (one.value, one.low, one.high) if value is not None]
    low, high = bounds or covering(known, zero=True)
    scale = Scale(low, high, 8.0, WIDTH - RIGHT)
    bottom = ROW_HEIGHT * len(estimates) + 6
    parts: list[Markup] = []
    for value in ticks(low, high, 5):
        parts.append(svg.line((scale(value), 4), (scale(value), bottom), "grid"))
        parts.append(svg.text((scale(value), bottom + 15), formats.compact(value), anchor="middle"))
    for row, one in enumerate(estimates):
        parts += _row(scale, one, ROW_HEIGHT * row, "one" if row == 0 else "rest")
    return svg.drawing((WIDTH, bottom + 22), words.title, words.description, parts)


def _row(scale: Scale, one: Estimate, top: float, colour: str) -> list[Markup]:
    """Name above, then the dot on its line between the ends of its interval."""
    y, x = top + 31, scale(one.value)
    parts = [svg.text((scale.start, top + 16), f"{one.label}  {formats.metric(one.value)}", f"name {colour}")]
    parts.append(svg.line((scale.start, y), (scale.end, y), "track"))
    if one.low is not None and one.high is not None:
        parts.append(svg.line((scale(one.low), y), (scale(one.high), y), f"interval {colour}"))
        parts += [svg.line((scale(end), y - 8), (scale(end), y + 8), f"interval {colour}") for end in (one.low, one.high)]
    return [*parts, svg.dot((x, y), 4.0, f"dot {colour}")]
