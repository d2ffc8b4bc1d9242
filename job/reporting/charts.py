"""The report's charts: small pure functions from numbers to SVG.

Made for a width of 360 pixels, which is a phone's and a third of a desk's, so text is read at its own size on both.  Colours and
fonts are classes of the page's style sheet, which knows light and dark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from job.reporting import formats, svg
from job.reporting.scale import Scale, covering, ticks

WIDTH, HEIGHT = 360.0, 216.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 14.0, 28.0
LABEL_WIDTH, LABEL_HEIGHT, LETTER_WIDTH = 62.0, 13.0, 6.4
MAX_POINTS, SMOOTH_FROM = 400, 60

Points = Sequence[tuple[float, float]]
Format = Callable[[float], str]


@dataclass(frozen=True)
class Words:
    """What is said about a chart: its name, and what is to be seen."""

    title: str
    description: str


@dataclass(frozen=True)
class Series:
    """One curve: its name, (step, value) points in order, its colour class (``one`` or ``two``), and how it is drawn.

    ``dots`` marks each point of a short curve; ``noisy`` allows a running mean over a long one.
    """

    label: str
    points: Points
    colour: str = "one"
    dots: bool = False
    noisy: bool = True


@dataclass(frozen=True)
class Frame:
    """The two axes of a chart."""

    x: Scale
    y: Scale

    @classmethod
    def around(cls, x_range: tuple[float, float], y_range: tuple[float, float], right: float = RIGHT) -> Frame:
        return cls(Scale(*x_range, LEFT, WIDTH - right), Scale(*y_range, HEIGHT - BOTTOM, TOP))

    def at(self, point: tuple[float, float]) -> tuple[float, float]:
        return self.x(point[0]), self.y(point[1])

    def grid(self, label: Format = formats.compact) -> list[Markup]:
        """Horizontal lines with their values."""
        marks: list[Markup] = []
        for value in ticks(self.y.low, self.y.high):
            marks.append(svg.line((LEFT, self.y(value)), (self.x.end, self.y(value)), "base" if value == self.y.low else "grid"))
            marks.append(svg.text((LEFT - 6, self.y(value) + 4), label(value), anchor="end"))
        return marks

    def bottom(self, values: Sequence[float], unit: str) -> list[Markup]:
        """Values below the horizontal axis; the unit stands with the last one."""
        place = HEIGHT - BOTTOM + 17
        if not values:
            return []
        last = f"{formats.compact(values[-1])} {unit}".strip()
        room = LETTER_WIDTH / 2 * len(last)
        at = min(self.x(values[-1]), WIDTH - room)
        others = [value for value in values[:-1] if self.x(value) + 1.5 * LABEL_HEIGHT < at - room]
        marks = [svg.text((self.x(value), place), formats.compact(value), anchor="middle") for value in others]
        return [*marks, svg.text((at, place), last, anchor="middle")]


def curves(words: Words, series: Sequence[Series], *, best: float | None = None, zero: bool = False) -> Markup | None:
    """Curves over optimizer steps; None when there is nothing to draw.

    Args:
        words: title and description.
        series: one or two curves; with two, each is named at its end.
        best: step to mark as the best one.
        zero: whether the vertical axis begins at 0.
    """
    drawn = [one for one in series if one.points]
    if not drawn:
        return None
    steps = [step for one in drawn for step, _ in one.points]
    x_range = (min(steps), max(steps)) if max(steps) > min(steps) else (min(steps) - 1, max(steps) + 1)
    named = len(drawn) > 1
    y_range = covering((value for one in drawn for _, value in one.points), zero=zero)
    frame = Frame.around(x_range, y_range, LABEL_WIDTH if named else RIGHT)
    parts = [*frame.grid(), *frame.bottom([value for value in ticks(*x_range) if value == int(value)], "steps")]
    if best is not None and x_range[0] <= best <= x_range[1]:
        parts += _best(frame, best)
    for one in drawn:
        parts += _curve(frame, one)
    return svg.drawing((WIDTH, HEIGHT), words.title, words.description, [*parts, *(_names(frame, drawn) if named else [])])


def thinned(points: Points, at_most: int = MAX_POINTS) -> Points:
    """At most ``at_most`` points, each the mean of its neighbours; the last point stays as it is."""
    if len(points) <= at_most:
        return points
    width = -(-len(points) // at_most)
    groups = [points[at : at + width] for at in range(0, len(points), width)]
    means = [(sum(step for step, _ in group) / len(group), sum(value for _, value in group) / len(group)) for group in groups]
    return [*means[:-1], points[-1]]


def smoothed(points: Points, window: int) -> Points:
    """Each value the mean of the ``window`` around it (fewer at the ends, the same on both sides)."""
    values = [value for _, value in points]
    half = [min(window // 2, at, len(points) - 1 - at) for at in range(len(points))]
    return [
        (step, sum(values[at - reach : at + reach + 1]) / (2 * reach + 1))
        for at, ((step, _), reach) in enumerate(zip(points, half, strict=True))
    ]


def _curve(frame: Frame, one: Series) -> list[Markup]:
    """The line; a long and restless one is drawn faint, with its running mean over it."""
    points = thinned(one.points)
    if len(points) == 1 or (one.dots and len(points) <= 30):
        hints = [f"step {formats.count(step)}: {formats.metric(value)}" for step, value in points]
        marks = [svg.dot(frame.at(point), 2.6, f"dot {one.colour}", hint) for point, hint in zip(points, hints, strict=True)]
        return [svg.path(map(frame.at, points), f"curve {one.colour}"), *marks]
    if len(points) < SMOOTH_FROM or not one.noisy:
        return [svg.path(map(frame.at, points), f"curve {one.colour}")]
    mean = smoothed(points, max(5, len(points) // 20))
    return [svg.path(map(frame.at, points), f"curve faint {one.colour}"), svg.path(map(frame.at, mean), f"curve {one.colour}")]


def _best(frame: Frame, step: float) -> list[Markup]:
    x = frame.x(step)
    late = x > frame.x.end - 40
    return [
        svg.line((x, TOP), (x, HEIGHT - BOTTOM), "mark"),
        svg.text((x - 4 if late else x + 4, TOP + 7), "best", "note", "end" if late else "start"),
    ]


def _names(frame: Frame, drawn: Sequence[Series]) -> list[Markup]:
    """Each curve's name at its end, moved apart where they would touch."""
    ends = sorted(((frame.y(one.points[-1][1]) + 4, one) for one in drawn), key=lambda end: end[0])
    marks, free = [], 0.0
    for place, one in ends:
        at = max(place, free)
        marks.append(svg.text((frame.x.end + 6, at), one.label, f"name {one.colour}"))
        free = at + LABEL_HEIGHT
    return marks
