"""From values to places on paper, and where ticks are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_PADDING = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From a value to a place, and where ticks are.

    Attributes:
        low: The smallest value shown.
        high: The largest value shown; larger than ``low``.
        begin: Where ``low`` is, in pixels.
        end: Where ``high`` is; may be less than ``begin``.
        log: Whether equal factors are equally far apart; then ``low`` is above 0.
    """

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value is, in pixels; what lies beyond the scale is at its end."""
        if self.log:
            value = max(value, self.low)
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.begin + min(1.0, max(0.0, share)) * (self.end - self.begin)


def span(values: Iterable[float], log: bool) -> tuple[float, float]:
    """From where to where an axis goes that shows all values, with a little room beside them."""
    found = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if not found:
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = min(found), max(found)
    if log:
        room = (high / low) ** _PADDING if high > low else 1.5
        return max(low / room, 5e-324), min(high * room, 1.7e308)
    # Halves, as the difference of two large numbers may be none.
    room = 2 * _PADDING * (high / 2 - low / 2) if high > low else abs(low) * 0.1 or 0.5
    low, high = max(low - room, -1.7e308), min(high + room, 1.7e308)
    # What differs in its last digits only is one value here.
    return (low, high) if high - low > 1e-9 * max(abs(low), abs(high)) else (low - 0.5, high + 0.5)


def linear_ticks(low: float, high: float, wished: int, *, whole: bool = False) -> list[float]:
    """At most ``wished`` + 1 round values from ``low`` to ``high``: multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: Where the axis begins.
        high: Where it ends.
        wished: About how many.
        whole: Whether only whole numbers are.
    """
    if not high > low or not math.isfinite(high - low):
        return [low]
    rough = (high - low) / max(1, wished)
    power: float = 10.0 ** math.floor(math.log10(rough))
    every = next((factor * power for factor in (1, 2, 5) if factor * power >= rough), 10 * power)
    every = max(every, 1.0) if whole else every
    first, last = math.ceil(low / every - 1e-9), math.floor(high / every + 1e-9)
    return [float(f"{number * every:.12g}") for number in range(first, last + 1)]


def log_ticks(low: float, high: float, wished: int) -> list[float]:
    """Round values from ``low`` to ``high`` on a logarithmic axis: powers of ten, with 2 and 5 where there is room."""
    decades = math.log10(high / low)
    factors = (1, 2, 5) if 3 * decades <= wished else (1, 3) if 2 * decades <= wished else (1,)
    every = max(1, math.ceil(decades / max(1, wished)))
    found = [
        float(f"{factor}e{power}")
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        if power % every == 0
        for factor in factors
    ]
    inside = [each for each in found if low * (1 - 1e-9) <= each <= high * (1 + 1e-9)]
    return inside if len(inside) > 1 else linear_ticks(low, high, wished)


def tick_text(value: float) -> str:
    """A tick's value in few characters."""
    size = abs(value)
    if size >= 1e6 and float(value).is_integer() and size < 1e15:
        return f"{value / 1e6:g}M"
    return f"{value:.5g}" if size >= 1e-4 or not size else f"{value:g}"


def thinned(x: Sequence[float], y: Sequence[float], most: int) -> tuple[Sequence[float], Sequence[float]]:
    """A line with at most so many points: of each stretch its first, lowest and highest, and the last of all."""
    if len(x) <= most:
        return x, y
    every = math.ceil(3 * len(x) / (most - 1))
    kept: list[int] = []
    for first in range(0, len(x), every):
        stretch = range(first, min(first + every, len(x)))
        kept += sorted({first, min(stretch, key=y.__getitem__), max(stretch, key=y.__getitem__)})
    kept += [] if kept[-1] == len(x) - 1 else [len(x) - 1]
    return [x[place] for place in kept], [y[place] for place in kept]
