"""Packed metrics give back what was recorded."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core import series as series_module
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
    assert list(series.nonfinite) == [step for step in sorted(expected) if None in expected[step].values()]


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


@given(
    st.dictionaries(st.integers(1, 12), rows, min_size=1),
    st.sampled_from([list, len, bool, repr, lambda series: series.nonfinite, lambda series: 3 in series]),
)
def test_an_unread_series_is_the_one_that_its_text_tells(
    recorded: dict[int, dict[str, float | None]], first_look: Callable[[Series], object]
) -> None:
    """Whatever it is asked first; and it can be added to."""
    steps = sorted(recorded)
    expected = Series.of(steps, [recorded[step] for step in steps])
    text = json.dumps([*steps, *(recorded[step] for step in steps)])
    assert first_look(Series.unread(text)) == first_look(expected)
    added = Series.unread(text)
    added.record(13, {"accuracy": None})
    expected.record(13, {"accuracy": None})
    assert dict(added) == dict(expected)
    assert added.nonfinite == expected.nonfinite


def test_a_long_text_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is looked at first, or packed, others wait for whoever does it."""
    text = json.dumps([*range(1, 10), *[{"loss": 0.5}] * 9])
    monkeypatch.setattr(series_module, "MOST_UNTIL_LATER", len(text))
    assert Series.unread(text)._text == text
    monkeypatch.setattr(series_module, "MOST_UNTIL_LATER", len(text) - 1)
    read = Series.unread(text)
    assert read._text is None
    assert dict(read) == {step: {"loss": 0.5} for step in range(1, 10)}


def test_an_unread_series_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError, match="lengh"):
        getattr(Series.unread("[]"), "lengh")  # noqa: B009


def text_of(rows: int) -> str:
    """Metrics with all their digits."""
    steps = range(1, rows + 1)
    return json.dumps([*steps, *({"accuracy": 1 / (step + 2), "loss": step / 7} for step in steps)])


@pytest.mark.parametrize(("rows", "share"), [(1, 0.9), (3, 1.1), (10, 1.1), (100, 1.1)])
def test_what_is_packed_takes_no_more_memory_than_what_is_read(rows: int, share: float) -> None:
    """1. Of a few rows the text alone takes less, and is kept. 2. Of many it takes more, and is read."""

    def held(look: Callable[[Series], object]) -> int:
        tracemalloc.start()
        made = [Series.unread(text_of(rows)) for _ in range(200)]
        for each in made:
            look(each)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size

    held(len)  # what is made once is there
    assert held(Series.pack) <= share * held(len)


def test_a_thread_that_was_about_to_read_what_another_has_read_takes_that() -> None:
    """1. A thread does not find the steps. 2. Before it goes on, another has read them. 3. It takes those."""
    series = Series.unread('[1, {"loss": 0.5}]')
    assert list(series) == [1]
    found = Series.__getattr__(series, "_steps")  # type: ignore[attr-defined]
    assert found is series._steps
