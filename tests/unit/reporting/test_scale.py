import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.reporting.scale import Scale, covering, ticks

RANGES = (
    st.tuples(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
    .map(lambda ends: (ends[0], ends[0] + ends[1]))
    .filter(lambda ends: ends[1] - ends[0] > 1e-6 * abs(ends[0]))
)


def test_scale_maps_ends_to_ends():
    scale = Scale(10, 20, 100, 0)
    assert [scale(10), scale(15), scale(20)] == [100, 50, 0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (10, 960, [200, 400, 600, 800]), (0, 0.3, [0, 0.1, 0.2, 0.3]), (3, 3, [3])],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == expected


@given(RANGES)
def test_ticks_lie_inside_and_are_few(ends):
    low, high = ends
    found = ticks(low, high)
    slack = (high - low) * 1e-6
    assert all(low - slack <= value <= high + slack for value in found)
    assert 2 <= len(found) <= 8


@given(st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 3)), min_size=1, max_size=20))
def test_covering_holds_all_values(values):
    low, high = covering(values)
    assert low < high
    assert low <= min(values) + abs(low) * 1e-9 + 1e-9
    assert high >= max(values) - abs(high) * 1e-9 - 1e-9


def test_covering_begins_at_zero_for_amounts():
    assert covering([3, 9], zero=True) == (0, 10)


def test_values_that_differ_by_rounding_only_are_one_value():
    low, high = covering([0.1 + 0.2, 0.3])
    assert high - low > 0.01


def test_ends_of_covering_are_ticks():
    low, high = covering([0.667, 0.938])
    assert ticks(low, high)[0] == low
    assert ticks(low, high)[-1] == high
