"""Probes: a short branch of a trial that tells how good its state is, and is no result.

The values in force at the step before are held from a step on, but for those of some hyper-parameters, which are
multiplied by factors: a learning rate by 0.1, say, so that what comes of a state is not hidden by the noise of a high
rate. The branch is trained like a fork, in the search plan, shared and kept like anything there. It changes nothing of
its trial, and is no trial of its study.

A probe has a number of its own: that of its trial, and above the 48th bit which of its probes it is, from 1. Of a
trial with repeats each has a probe; which repeat it is stands where it does in a trial's number.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from hippo_core.arguments import number, suggestion
from hippo_core.errors import InvalidStudy
from hippo_core.space import Space
from hippo_core.values import Kind, Scalar

BITS = 48
MOST_PROBES = 2**15 - 1  #: of one trial: numbers have 63 bits

Factors = tuple[tuple[str, float], ...]
"""Hyper-parameters, and by what their values are multiplied."""


def number_of(trial: int, probe: int) -> int:
    """The number of a trial's probe; that of the trial for probe 0."""
    return probe << BITS | trial


def probe_of(number: int) -> int:
    """Which probe of its trial it is; 0: it is none."""
    return number >> BITS


def multiplied(value: Scalar, factor: float) -> int | float:
    """A number times a factor: an integer stays one, of 1 at least; what is too large is the largest number."""
    assert isinstance(value, int | float), "as was checked with the policy"
    if isinstance(value, int):
        return max(1, round(value * factor))
    product = value * factor
    return product if math.isfinite(product) else math.copysign(sys.float_info.max, product)


def checked_factors(factors: Mapping[str, Any], where: str) -> Factors:
    """Factors in canonical form.

    Args:
        factors: By name.
        where: How a person calls them: ``policies.phase_tree.factors``.

    Raises:
        InvalidStudy: One is no positive number.
    """
    if not isinstance(factors, Mapping):
        raise InvalidStudy(where, f"must be factors by name, not {factors!r}", 'Write {"lr": 0.1}.')
    found = {name: number(factor, f"{where}[{name!r}]") for name, factor in factors.items()}
    for name, factor in found.items():
        if factor <= 0:
            raise InvalidStudy(f"{where}[{name!r}]", f"must be above 0, not {factor:g}", "Give 0.1, say.")
    return tuple(sorted(found.items()))


def check_names(names: Iterable[str], space: Space, where: str) -> None:
    """Refuses to multiply what not every trial of a space has, or what is no number.

    Raises:
        InvalidStudy: So it is.
    """
    for name in names:
        if name not in space.kinds:
            raise InvalidStudy(
                where, f"{name!r} is no hyper-parameter", suggestion(name, sorted(space.kinds))
            )
        if space.kinds[name] is Kind.CATEGORICAL:
            raise InvalidStudy(
                where, f"the values of {name!r} are no numbers", "Name what can be multiplied."
            )
        if name not in space.entries:
            raise InvalidStudy(where, f"not every trial has {name!r}", "Name what all trials have in common.")


def in_words(at: int, to: int, factors: Mapping[str, float]) -> str:
    """What a probe is: ``from step 9 to 10 at lr x 0.1``."""
    changes = ", ".join(f"{name} x {factor:g}" for name, factor in factors.items())
    return f"from step {at} to {to} at {changes or 'the values in force'}"
