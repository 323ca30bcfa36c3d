"""Packed metrics give back what was recorded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hippo_core.series import Series

values = st.none() | st.floats(allow_nan=False, allow_infinity=False)
rows = st.dictionaries(st.sampled_from(["accuracy", "loss", "time"]), values, max_size=3)


@given(st.lists(st.tuples(st.integers(1, 12), rows)))
def test_a_series_is_a_dict_in_the_order_of_its_steps(
    recorded: list[tuple[int, dict[str, float | None]]],
) -> None:
    """1. Rows with any names come in any order, some twice. 2. The series is the dict that they make, sorted, down to
    the sign of zeros."""
    series, expected = Series(), dict[int, dict[str, float | None]]()
    for step, row in recorded:
        series.record(step, row)
        expected[step] = row
    assert list(series) == sorted(expected)
    assert [step in series for step in range(14)] == [step in expected for step in range(14)]
    for step, row in expected.items():
        assert repr(series[step]) == repr(dict(sorted(row.items())))
    assert series.nonfinite == [step for step in sorted(expected) if None in expected[step].values()]


@given(st.dictionaries(st.integers(1, 12), rows))
def test_rows_that_come_together_are_as_those_that_come_one_by_one(
    recorded: dict[int, dict[str, float | None]],
) -> None:
    """Whatever order each row's names have."""
    one_by_one = Series()
    for step, row in sorted(recorded.items()):
        one_by_one.record(step, row)
    steps = sorted(recorded)
    assert dict(Series.of(steps, [recorded[step] for step in steps])) == dict(one_by_one)
