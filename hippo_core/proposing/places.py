"""Domains as stretches of [0, 1], for algorithms that work on vectors of numbers.

Numbers stand by their size, or by their logarithm where they are drawn so. An int, a step or an option has a part of
the stretch, and stands in its middle; the parts are of equal width, in the logarithm where the domain is drawn so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hippo_core.domains import Choice, Domain, Integer, Stepped, Uniform
from hippo_core.values import Scalar, normalise_float


def place(domain: Domain, drawn: Any) -> float:
    """Where a value of a domain lies."""
    low, high = _ends(domain)
    found = (drawn - domain.low) / domain.q if isinstance(domain, Stepped) else drawn
    return float((_scaled(domain, found) - low) / (high - low)) if high > low else 0.5


def numbers_of(domain: Domain, drawn: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Values of a domain as numbers, by which they lie in its stretch: a step by its number; NaN for None."""
    found = np.array(drawn, dtype=np.float64)
    return np.rint((found - domain.low) / domain.q) if isinstance(domain, Stepped) else found


def places_of(domain: Domain, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where numbers of a domain lie; half a number aside is where the part of an int, step or option ends."""
    low, high = _ends(domain)
    if high == low:
        return np.where(np.isnan(numbers), np.nan, 0.5)
    return np.asarray(((np.log(numbers) if _is_log(domain) else numbers) - low) / (high - low))


def value(domain: Domain, at: float) -> Scalar:
    """The value of a domain at a place."""
    low, high = _ends(domain)
    found = low + (high - low) * at
    found = math.exp(found) if _is_log(domain) else found
    match domain:
        case Uniform():
            return min(max(normalise_float(found), domain.low), domain.high)
        case Integer():
            return min(max(math.floor(found + 0.5), domain.low), domain.high)
        case Choice() | Stepped():
            assert domain.size is not None
            return domain.item(min(max(math.floor(at * domain.size), 0), domain.size - 1))
        case _:
            raise TypeError(f"{domain!r} is no domain that can be drawn")


def _is_log(domain: Domain) -> bool:
    return isinstance(domain, Uniform | Integer) and domain.log


def _scaled(domain: Domain, number: float) -> float:
    return math.log(number) if _is_log(domain) else float(number)


def _ends(domain: Domain) -> tuple[float, float]:
    match domain:
        case Uniform():
            return _scaled(domain, domain.low), _scaled(domain, domain.high)
        case Integer():
            return _scaled(domain, domain.low - 0.5), _scaled(domain, domain.high + 0.5)
        case Choice() | Stepped():
            assert domain.size is not None
            return -0.5, domain.size - 0.5
        case _:
            raise TypeError(f"{domain!r} is no domain that can be drawn")
