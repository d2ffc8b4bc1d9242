"""Axes: from values to places on paper, with ticks at numbers that people count in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A line from values (``low`` to ``high``) to places (``start`` to ``end``)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, target: int = 4) -> list[float]:
    """Round numbers from ``low`` to ``high``, about ``target`` of them: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / target
    power = 10.0 ** math.floor(math.log10(raw))
    # The nearest of them by ratio: the bounds between 1, 2, 5 and 10 are their geometric means.
    step = power * next(factor for factor, bound in ((1, 2**0.5), (2, 10**0.5), (5, 50**0.5), (10, 11)) if raw / power < bound)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [_clean(number * step, step) for number in range(first, last + 1)]


def covering(values: Iterable[float], *, zero: bool = False) -> tuple[float, float]:
    """The range of an axis that shows all ``values`` and ends at ticks.

    Args:
        values: at least one.
        zero: whether the axis begins at 0 (for amounts and shares).
    """
    shown = [*values, *([0.0] if zero else [])]
    low, high = min(shown), max(shown)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        pad = abs(low) * 0.1 or 1.0
        low, high = (low if zero else low - pad), high + pad
    # A wider range may have wider steps, so once more until the ends stay where they are.
    for _ in range(3):
        marks = ticks(low, high)
        step = marks[1] - marks[0] if len(marks) > 1 else high - low
        low, high = _clean(math.floor(low / step + 1e-9) * step, step), _clean(math.ceil(high / step - 1e-9) * step, step)
    return low, high


def _clean(value: float, step: float) -> float:
    """``value`` without the dust of binary fractions."""
    return round(value, max(0, 1 - math.floor(math.log10(step))))
