import math

import pytest

from job.reporting import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9371, "0.937"), (0.01934, "0.0193"), (0.0, "0.000"), (-0.5, "\N{MINUS SIGN}0.500"), (123.456, "123.5"), (2e-6, "2.00e-06")],
)
def test_metric(value, text):
    assert formats.metric(value) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "x"])
def test_what_is_no_number_is_missing(value):
    assert formats.metric(value) == formats.count(value) == formats.share(value) == formats.duration(value) == formats.MISSING


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 3, "33.3 %"),
        (1, 100_000, "< 0.1 %"),
        (99_999, 100_000, "> 99.9 %"),
        (1, 0, formats.MISSING),
    ],
)
def test_share_never_rounds_to_none_or_all(part, whole, text):
    assert formats.share(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.31, "0.31 s"), (6.44, "6.4 s"), (58.2, "58 s"), (59.7, "1 min 0 s"), (754, "12 min 34 s"), (12_000, "3 h 20 min")],
)
def test_duration(seconds, text):
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"), [(12, "12 B"), (1500, "1.5 kB"), (999_600, "1.0 MB"), (268e6, "268 MB"), (None, formats.MISSING)]
)
def test_size(num_bytes, text):
    assert formats.size(num_bytes) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (5e-4, "5e-4"), (800, "800"), (1500, "1.5k"), (2e6, "2M"), (-0.5, "\N{MINUS SIGN}0.5")],
)
def test_compact(value, text):
    assert formats.compact(value) == text
