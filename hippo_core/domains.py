"""Domains: what a sampler draws from. Each is a small value; ``hippo_core.space`` gives it its name."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from hippo_core.values import Kind, Scalar, normalise_float, scalar_to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain(ABC):
    """A set of values to draw from.

    What is drawn is an int or a float, or for a choice the number of the option; ``low`` and ``high`` are
    included.

    Attributes:
        name: How the draw is named; None until it stands in a space, unless given. One name is one draw.
    """

    word: ClassVar[str]
    name: str | None = None

    @property
    @abstractmethod
    def size(self) -> int | None:
        """How many values it has; None: more than can be listed."""

    @abstractmethod
    def item(self, index: int) -> Scalar:
        """Of a domain with a size, the value number ``index``, from 0."""

    @abstractmethod
    def draw(self, uniform: float) -> Scalar:
        """The value at a number from [0, 1), which is uniformly distributed."""

    @abstractmethod
    def holds(self, drawn: Any) -> bool:
        """Whether a value can have been drawn from it."""

    def renamed(self, name: str) -> Self:
        """The same domain under a name."""
        return replace(self, name=name)

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The domain as a JSON object."""


class NumericDomain(Domain):
    """A domain of numbers, which are all of one kind; those of a choice are of the kinds of its options."""

    __slots__ = ()

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """The kind of its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Domain):
    """One of several options.

    Attributes:
        options: Values, schedules, domains; or all of them dicts.
        type: What the values are handed out as: FLOAT, INT, or None: as follows from what is written.
        merged: The options that were written more than once, for a warning. They are no part of the domain.
    """

    word = "choice"
    options: tuple[Any, ...]
    type: Kind | None = None
    merged: tuple[Any, ...] = field(default=(), compare=False)

    @property
    def size(self) -> int | None:
        """As many as there are options."""
        return len(self.options)

    def item(self, index: int) -> Scalar:
        """The number of the option."""
        return index

    def draw(self, uniform: float) -> Scalar:
        """All options are equally likely."""
        return int(uniform * len(self.options))

    def holds(self, drawn: Any) -> bool:
        """Whether it is the number of an option."""
        return _is_int(drawn) and 0 <= drawn < len(self.options)

    def to_json(self) -> dict[str, Any]:
        """The options, and the type if one was given."""
        written = {"domain": "choice", "options": part_to_json(self.options), "name": self.name}
        return written if self.type is None else {**written, "type": self.type.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform(NumericDomain):
    """Floats from ``low`` to ``high``, equally likely; with ``log``, so are their logarithms."""

    word = "uniform"
    low: float
    high: float
    log: bool = False

    @property
    def size(self) -> int | None:
        """Not to be listed."""
        return None

    @property
    def kind(self) -> Kind:
        """Floats."""
        return Kind.FLOAT

    def item(self, index: int) -> Scalar:
        """There is none to be listed."""
        raise TypeError("a continuous domain cannot be listed")

    def draw(self, uniform: float) -> Scalar:
        """A float with 12 significant digits."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + (high - low) * uniform)
        else:
            value = self.low + (self.high - self.low) * uniform
        return min(max(normalise_float(value), self.low), self.high)

    def holds(self, drawn: Any) -> bool:
        """Whether it is a float within the bounds."""
        return _is_number(drawn) and self.low <= drawn <= self.high

    def to_json(self) -> dict[str, Any]:
        """The bounds."""
        word = "loguniform" if self.log else "uniform"
        bounds = {"low": scalar_to_json(self.low), "high": scalar_to_json(self.high)}
        return {"domain": word, **bounds, "name": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped(NumericDomain):
    """The floats ``low``, ``low + q``, ``low + 2 q``, ... up to ``high``, equally likely."""

    word = "quniform"
    low: float
    high: float
    q: float

    @property
    def size(self) -> int | None:
        """The number of steps that fit, counting the first value."""
        return math.floor((self.high - self.low) / self.q * (1 + 1e-12)) + 1

    @property
    def kind(self) -> Kind:
        """Floats."""
        return Kind.FLOAT

    def item(self, index: int) -> Scalar:
        """``index`` steps from ``low``."""
        return min(normalise_float(self.low + index * self.q), self.high)

    def draw(self, uniform: float) -> Scalar:
        """All steps are equally likely."""
        assert self.size is not None
        return self.item(int(uniform * self.size))

    def holds(self, drawn: Any) -> bool:
        """Whether it is a float within the bounds."""
        return _is_number(drawn) and self.low <= drawn <= self.high

    def to_json(self) -> dict[str, Any]:
        """The bounds and the step."""
        bounds = {each: scalar_to_json(getattr(self, each)) for each in ("low", "high", "q")}
        return {"domain": self.word, **bounds, "name": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer(NumericDomain):
    """The ints from ``low`` to ``high``, equally likely; with ``log``, so are their logarithms, nearly."""

    word = "integer"
    low: int
    high: int
    log: bool = False

    @property
    def size(self) -> int | None:
        """All ints within the bounds."""
        return self.high - self.low + 1

    @property
    def kind(self) -> Kind:
        """Ints."""
        return Kind.INT

    def item(self, index: int) -> Scalar:
        """``index`` more than ``low``."""
        return self.low + index

    def draw(self, uniform: float) -> Scalar:
        """An int."""
        if not self.log:
            return min(self.low + math.floor(uniform * (self.high - self.low + 1)), self.high)
        low, high = math.log(self.low), math.log(self.high + 1)
        return min(max(math.floor(math.exp(low + (high - low) * uniform)), self.low), self.high)

    def holds(self, drawn: Any) -> bool:
        """Whether it is an int within the bounds."""
        return _is_int(drawn) and self.low <= drawn <= self.high

    def to_json(self) -> dict[str, Any]:
        """The bounds."""
        word = "logint" if self.log else "integer"
        return {"domain": word, "low": self.low, "high": self.high, "name": self.name}


HORIZON = "(horizon)"  #: among a trial's draws: how long it is, where its study has horizons


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon(NumericDomain):
    """How long a trial is: one of its study's horizons. Each point is tried with all of them, so nobody draws it."""

    word = "horizon"
    name: str = HORIZON

    @property
    def size(self) -> int | None:
        """Not to be listed here: the study lists them."""
        return None

    @property
    def kind(self) -> Kind:
        """Steps."""
        return Kind.INT

    def item(self, index: int) -> Scalar:
        """There is none to be listed."""
        raise TypeError("horizons are the study's")

    def draw(self, uniform: float) -> Scalar:
        """It is never drawn."""
        raise TypeError("horizons are the study's")

    def holds(self, drawn: Any) -> bool:
        """Whether it is a number of steps."""
        return _is_int(drawn) and drawn >= 1

    def to_json(self) -> dict[str, Any]:
        """Only that it is one."""
        return {"domain": "horizon"}


def part_to_json(part: Any) -> Any:
    """What stands in a space, as JSON: a scalar, a schedule, a domain, a sub-space, or a tuple of these."""
    if isinstance(part, Mapping):
        return {name: part_to_json(each) for name, each in part.items()}
    if isinstance(part, tuple):
        return [part_to_json(each) for each in part]
    return part.to_json() if hasattr(part, "to_json") else scalar_to_json(part)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
