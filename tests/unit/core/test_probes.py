"""Numbers of probes, and what a value is multiplied to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core import probes, repeats
from hippo_core.probes import MOST_PROBES, in_words, multiplied, probe_of


@given(st.integers(0, 2**32 - 1), st.integers(0, repeats.MOST_REPEATS - 1), st.integers(0, MOST_PROBES))
def test_a_number_tells_trial_repeat_and_probe_and_fits_into_63_bits(
    trial: int, repeat: int, probe: int
) -> None:
    number = repeats.number_of(probes.number_of(trial, probe), repeat)
    assert (repeats.trial_of(number), repeats.repeat_of(number), probe_of(number)) == (trial, repeat, probe)
    assert repeats.first_of(number) == probes.number_of(trial, probe)
    assert 0 <= number < 2**63


@given(st.integers(1, 10**9), st.floats(1e-6, 1e3))
def test_an_integer_stays_one_and_above_zero(value: int, factor: float) -> None:
    found = multiplied(value, factor)
    assert isinstance(found, int)
    assert found >= 1
    assert abs(found - value * factor) <= max(0.5, 1 - value * factor)


@pytest.mark.parametrize(
    ("value", "factor", "found"),
    [(0.2, 0.1, 0.2 * 0.1), (32, 0.5, 16), (5, 0.1, 1), (3, 0.5, 2), (-0.5, 2.0, -1.0)],
)
def test_what_a_value_is_multiplied_to(value: float, factor: float, found: float) -> None:
    assert multiplied(value, factor) == found


def test_what_is_too_large_is_the_largest_number() -> None:
    for value in (1e308, -1e308):
        found = multiplied(value, 1e3)
        assert math.isfinite(found)
        assert math.copysign(1.0, found) == math.copysign(1.0, value)


def test_a_probe_in_words() -> None:
    assert in_words(9, 10, {"lr": 0.1}) == "from step 9 to 10 at lr x 0.1"
    assert in_words(9, 11, {"lr": 0.05, "batch": 2.0}) == "from step 9 to 11 at lr x 0.05, batch x 2"
    assert in_words(9, 10, {}) == "from step 9 to 10 at the values in force"
