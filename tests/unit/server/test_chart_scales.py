"""From values to places on paper, and where ticks are."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from hippo_server.web.charts.scales import Scale, linear_ticks, log_ticks, span, thinned, tick_text

numbers = st.floats(-1e12, 1e12, allow_nan=False).map(lambda each: float(f"{each:.6g}"))
positive = st.floats(1e-12, 1e12).map(lambda each: float(f"{each:.6g}"))


@given(st.lists(numbers | st.sampled_from([math.nan, math.inf]), max_size=10))
def test_an_axis_shows_all_values_that_are_finite(values: list[float]) -> None:
    low, high = span(values, log=False)
    assert low < high
    assert all(low <= value <= high for value in values if math.isfinite(value))


@given(st.lists(positive, max_size=10))
def test_a_logarithmic_axis_is_above_zero(values: list[float]) -> None:
    low, high = span(values, log=True)
    assert 0 < low < high
    assert all(low <= value <= high for value in values)


def test_the_largest_numbers_have_an_axis() -> None:
    low, high = span([-1.7e308, 1.7e308], log=False)
    assert low < high
    assert linear_ticks(low, high, 5)
    assert math.isfinite(span([5e-324, 1.7e308], log=True)[1])


@given(st.lists(positive, min_size=2, max_size=8), st.booleans())
def test_larger_values_are_further_along(values: list[float], log: bool) -> None:
    low, high = span(values, log)
    scale = Scale(low=low, high=high, begin=500.0, end=20.0, log=log)
    places = [scale.place(value) for value in sorted(values)]
    assert all(20.0 - 1e-9 <= place <= 500.0 + 1e-9 for place in places)
    assert places == sorted(places, reverse=True)


def test_places_are_in_proportion() -> None:
    scale = Scale(low=0.0, high=10.0, begin=0.0, end=100.0)
    assert [scale.place(value) for value in (0, 2.5, 10, 11, -1)] == [0, 25, 100, 100, 0]
    log = Scale(low=1.0, high=100.0, begin=0.0, end=100.0, log=True)
    assert [round(log.place(value), 9) for value in (1, 10, 100, 0)] == [0, 50, 100, 0]


@given(numbers, st.floats(1e-3, 1e9), st.integers(2, 12), st.booleans())
def test_ticks_are_round_and_lie_within(low: float, length: float, wished: int, whole: bool) -> None:
    high = low + length
    ticks = linear_ticks(low, high, wished, whole=whole)
    assert len(ticks) <= wished + 1
    slack = 1e-6 * max(abs(low), abs(high), 1.0)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    if whole:
        assert all(tick.is_integer() for tick in ticks)


def test_ticks_by_hand() -> None:
    assert linear_ticks(0.0, 1.0, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert linear_ticks(0.13, 0.71, 4) == [0.2, 0.4, 0.6]
    assert linear_ticks(0.2, 2.9, 6, whole=True) == [1.0, 2.0]
    assert log_ticks(1e-4, 1e-1, 5) == [1e-4, 1e-3, 1e-2, 1e-1]
    assert log_ticks(1.0, 10.0, 5) == [1.0, 2.0, 5.0, 10.0]
    assert log_ticks(2.2, 2.9, 4) == [2.2, 2.4, 2.6, 2.8], "no power of ten lies within"
    assert [tick_text(each) for each in (0.0, 0.1, 1e-5, 1500.0, 2e6)] == ["0", "0.1", "1e-05", "1500", "2M"]


@given(positive, st.floats(1.01, 1e9), st.integers(2, 10))
def test_logarithmic_ticks_ascend_within(low: float, factor: float, wished: int) -> None:
    high = low * factor
    ticks = log_ticks(low, high, wished)
    assert ticks == sorted(set(ticks))
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in ticks)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=200), st.integers(10, 60))
def test_a_thinned_line_has_the_extremes_and_the_ends(y: list[int], most: int) -> None:
    x = list(range(len(y)))
    kept_x, kept_y = thinned(x, y, most)
    assert len(kept_x) <= most
    assert list(kept_x) == sorted(set(kept_x))
    assert [y[each] for each in kept_x] == list(kept_y)  # type: ignore[index]
    assert (kept_x[0], kept_x[-1]) == (0, len(y) - 1)
    assert (min(kept_y), max(kept_y)) == (min(y), max(y))
