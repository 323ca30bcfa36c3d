"""The formulas of schedules: functions of a local step t = 0, 1, ..., in Python floats, evaluable for ever.

The order of operations is part of the definition: a value is the very double that the formula gives in this
order, then normalised (``hippo_core.values``). Where a formula overflows, its value is infinite.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from hippo_core.values import Scalar, scalar_from_json, scalar_to_json, typed

SAFE_MAGNITUDE = 1e150  # sums and products of two such numbers are finite


@dataclass(frozen=True, slots=True)
class Formula(ABC):
    """A function of the local step.

    Fields of type float, int or tuple of scalars are its parameters; ``name`` is its name in JSON.
    """

    name: ClassVar[str]

    @abstractmethod
    def at(self, t: int) -> Scalar:
        """The value at local step ``t`` >= 0. May raise OverflowError."""

    @property
    def settles(self) -> int | None:
        """From which local step on it is constant; None: never."""
        return None

    def always_finite(self) -> bool:
        """Whether it provably never becomes infinite; False where only evaluating tells."""
        return all(
            abs(value) <= SAFE_MAGNITUDE
            for value in (getattr(self, each.name) for each in fields(self))
            if isinstance(value, int | float)
        )

    @property
    def monotone(self) -> bool:
        """Whether its magnitude never decreases, so that it is finite at all steps before a finite one."""
        return False

    def identity(self) -> tuple[Any, ...]:
        """Hashable; equal exactly for equal formulas."""
        parameters: tuple[str, ...] = self.__slots__
        return (self.name, *[typed(getattr(self, each)) for each in parameters])

    def to_json(self) -> dict[str, Any]:
        """The parameters as a JSON object."""
        return {each.name: scalar_to_json(getattr(self, each.name)) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class Constant(Formula):
    """One value for ever."""

    name = "constant"
    value: Scalar

    def at(self, t: int) -> Scalar:
        """The value."""
        return self.value

    @property
    def settles(self) -> int | None:
        """At once."""
        return 0

    def always_finite(self) -> bool:
        """Values as written are; the power of a multistep may not be."""
        return not isinstance(self.value, float) or math.isfinite(self.value)


@dataclass(frozen=True, slots=True)
class Table(Formula):
    """Listed values, the last one for ever."""

    name = "table"
    values: tuple[Scalar, ...]

    def at(self, t: int) -> Scalar:
        """The value in row ``t``, or in the last."""
        return self.values[min(t, len(self.values) - 1)]

    @property
    def settles(self) -> int | None:
        """At the last row."""
        return len(self.values) - 1

    def always_finite(self) -> bool:
        """As values are finite."""
        return True


@dataclass(frozen=True, slots=True)
class Exponential(Formula):
    """A factor ``gamma`` at each step."""

    name = "exponential"
    initial: float
    gamma: float

    def at(self, t: int) -> Scalar:
        """Decayed ``t`` times."""
        return self.initial * self.gamma**t

    def always_finite(self) -> bool:
        """It does not grow."""
        return abs(self.gamma) <= 1.0

    @property
    def monotone(self) -> bool:
        """It grows with each step where ``gamma`` is above 1."""
        return abs(self.gamma) >= 1.0


@dataclass(frozen=True, slots=True)
class StepDecay(Formula):
    """A factor ``gamma`` at every ``every``-th step."""

    name = "step_decay"
    initial: float
    gamma: float
    every: int

    def at(self, t: int) -> Scalar:
        """Decayed once per ``every`` steps."""
        return self.initial * self.gamma ** (t // self.every)

    def always_finite(self) -> bool:
        """It does not grow."""
        return abs(self.gamma) <= 1.0

    @property
    def monotone(self) -> bool:
        """It grows with each step where ``gamma`` is above 1."""
        return abs(self.gamma) >= 1.0


@dataclass(frozen=True, slots=True)
class Linear(Formula):
    """A straight line from ``initial`` to ``final``, then ``final``."""

    name = "linear"
    initial: float
    final: float
    period: int

    def at(self, t: int) -> Scalar:
        """On the line."""
        return self.initial + (self.final - self.initial) * min(t, self.period) / self.period

    @property
    def settles(self) -> int | None:
        """At its end."""
        return self.period


@dataclass(frozen=True, slots=True)
class Ramp(Formula):
    """A straight line that has left ``initial`` at its first step and comes to ``final`` after ``steps``."""

    name = "ramp"
    initial: float
    final: float
    steps: int

    def at(self, t: int) -> Scalar:
        """On the line."""
        return self.initial + (self.final - self.initial) * (min(t, self.steps) + 1) / (self.steps + 1)

    @property
    def settles(self) -> int | None:
        """After its steps."""
        return self.steps


@dataclass(frozen=True, slots=True)
class Polynomial(Formula):
    """From ``initial`` to ``final`` along a power of the part that is left."""

    name = "polynomial"
    initial: float
    final: float
    period: int
    power: float

    def at(self, t: int) -> Scalar:
        """On the curve."""
        left = float((1 - min(t, self.period) / self.period) ** self.power)
        return self.final + (self.initial - self.final) * left

    @property
    def settles(self) -> int | None:
        """At its end."""
        return self.period


@dataclass(frozen=True, slots=True)
class Cosine(Formula):
    """Half a cosine wave from ``initial`` to ``final``, then ``final``."""

    name = "cosine"
    initial: float
    final: float
    period: int

    def at(self, t: int) -> Scalar:
        """On the wave."""
        return _half_wave(self.initial, self.final, min(t, self.period), self.period)

    @property
    def settles(self) -> int | None:
        """At its end."""
        return self.period


@dataclass(frozen=True, slots=True)
class CosineRestarts(Formula):
    """Half cosine waves, each ``multiplier`` times as long as the one before."""

    name = "cosine_restarts"
    initial: float
    final: float
    period: int
    multiplier: int

    def at(self, t: int) -> Scalar:
        """On the wave that ``t`` falls into."""
        if self.multiplier == 1:
            return _half_wave(self.initial, self.final, t % self.period, self.period)
        u, length = t, self.period
        while u >= length:
            u -= length
            length *= self.multiplier
        return _half_wave(self.initial, self.final, u, length)


@dataclass(frozen=True, slots=True)
class Cyclic(Formula):
    """Up from ``low`` to ``high`` and down again, for ever."""

    name = "cyclic"
    low: float
    high: float
    rise: int
    fall: int

    def at(self, t: int) -> Scalar:
        """On the way up or down."""
        u = t % (self.rise + self.fall)
        part = u / self.rise if u <= self.rise else (self.rise + self.fall - u) / self.fall
        return self.low + (self.high - self.low) * part


@dataclass(frozen=True, slots=True)
class OneCycle(Formula):
    """Up to ``peak`` and down below the start, each along half a cosine wave, as PyTorch's OneCycleLR."""

    name = "one_cycle"
    peak: float
    period: int
    warmup_fraction: float
    start_divisor: float
    end_divisor: float

    def at(self, t: int) -> Scalar:
        """In the first or second phase; the last value beyond the period."""
        step = min(t, self.period - 1)
        start = self.peak / self.start_divisor
        top = float(self.warmup_fraction * self.period) - 1
        if step <= top:
            # A first phase of no length is at its end.
            return _anneal(start, self.peak, step / top) if top > 0 else self.peak
        return _anneal(self.peak, start / self.end_divisor, (step - top) / (self.period - 1 - top))

    @property
    def settles(self) -> int | None:
        """At the last step of its period."""
        return self.period - 1

    def always_finite(self) -> bool:
        """Dividing by 1 or more does not make it grow."""
        return Formula.always_finite(self) and self.start_divisor >= 1 and self.end_divisor >= 1


def _half_wave(initial: float, final: float, t: int, period: int) -> float:
    return final + (initial - final) * (1 + math.cos(math.pi * t / period)) / 2


def _anneal(start: float, end: float, part: float) -> float:
    """PyTorch's order of operations."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)


FORMULAS: Mapping[str, type[Formula]] = {
    each.name: each
    for each in (
        Constant,
        Table,
        Exponential,
        StepDecay,
        Linear,
        Ramp,
        Polynomial,
        Cosine,
        CosineRestarts,
        Cyclic,
        OneCycle,
    )
}


def formula_from_json(name: str, json: Mapping[str, Any]) -> Formula:
    """The inverse of :meth:`Formula.to_json`."""
    kind = FORMULAS[name]
    arguments = {}
    for each in fields(kind):
        value = scalar_from_json(json[each.name])
        arguments[each.name] = float(value) if each.type == "float" else value  # type: ignore[arg-type]
    return kind(**arguments)
