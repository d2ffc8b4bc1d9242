"""How numbers are written for people, the same in the log, the summary, the report and the model card."""

from __future__ import annotations

import math
from typing import Any

MISSING = "\N{EN DASH}"
"""Stands where there is no value."""


def metric(value: Any) -> str:
    """A score or a loss: three digits after the point, more for small numbers, fewer for large ones."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return MISSING
    size = abs(value)
    if size != 0 and (size < 1e-4 or size >= 1e7):
        return f"{value:.2e}"
    digits = 4 if 0 < size < 0.1 else 3 if size < 100 else 1
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def count(value: Any) -> str:
    """A whole number with thousands apart."""
    return f"{round(value):,}" if isinstance(value, int | float) and math.isfinite(value) else MISSING


def share(part: Any, whole: Any = 1) -> str:
    """``part`` of ``whole`` in per cent; never 0 % or 100 % of what is more than nothing or less than all."""
    if not isinstance(part, int | float) or not isinstance(whole, int | float) or not whole or not math.isfinite(part / whole):
        return MISSING
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.95 <= percent < 100:
        return "> 99.9 %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


def duration(seconds: Any) -> str:
    """Seconds as a person says them: ``0.42 s``, ``38 s``, ``12 min 5 s``, ``3 h 20 min``."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return MISSING
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds >= 0.95 else f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def size(num_bytes: Any) -> str:
    """Bytes in decimal units."""
    if not isinstance(num_bytes, int | float):
        return MISSING
    value, units = float(num_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" or value >= 99.5 else f"{value:.1f} {units[0]}"


def compact(value: float) -> str:
    """An axis label: as short as it can be without being wrong (``0.25``, ``5e-3``, ``20k``)."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1e3:
        return f"{value / 1e3:g}k"
    if abs(value) < 1e-2:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")
