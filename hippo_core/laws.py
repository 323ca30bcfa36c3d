"""Laws: what a schedule follows over a stretch, as functions of the absolute step, compared by value.

A law is a formula that counts from some step, and how its results are made values. Laws are interned: equal
laws are one object as a rule, so that most comparisons need no arithmetic. Different ones are compared by
value, in blocks of steps that a bounded cache keeps; the cache holds the very doubles that ``value`` gives.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from hippo_core.formulas import Constant, Formula, Table, formula_from_json
from hippo_core.values import (
    Kind,
    Scalar,
    normalise,
    normalise_float,
    scalar_from_json,
    scalar_to_json,
    typed,
)

BLOCK = 128
CACHED_BLOCKS = 16384


class Form(StrEnum):
    """How a formula's results become values. Listed and constant values are final as they are."""

    PLAIN = "plain"
    FLOAT = "float"  #: normalised
    INT = "int"  #: normalised and rounded, half to even
    ROUNDED = "rounded"  #: the same, but handed out as a float


class Law:
    """A function of the absolute step, evaluable for ever. Made by :func:`law`; immutable and hashable.

    Attributes:
        formula: The formula.
        origin: The absolute step that is the formula's local step 0.
        form: How its results become values.
        settles: The absolute step from which on it is constant; infinite where it never is.
        key: For a law that is constant from the start, the stand-in for its value (``values.typed``).
    """

    __slots__ = ("__weakref__", "_hash", "_identity", "form", "formula", "key", "origin", "settles")

    def __init__(self, formula: Formula, origin: int, form: Form, identity: tuple[Any, ...]) -> None:
        self.formula = formula
        self.origin = origin
        self.form = form
        settles = formula.settles
        self.settles: float = math.inf if settles is None else origin + settles
        self.key: Any = typed(formula.value) if isinstance(formula, Constant) else None
        self._identity = identity
        self._hash = hash(identity)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Law) and self._identity == other._identity)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Law({self.formula!r}, origin={self.origin}, form={self.form.value})"

    def __reduce__(self) -> tuple[Any, ...]:
        return law, (self.formula, self.origin, self.form)

    @property
    def constant(self) -> bool:
        """Whether it has one value for ever."""
        return isinstance(self.formula, Constant)

    def value(self, step: int) -> Scalar:
        """The value at a step; before the origin, the one there; infinite where the formula overflows."""
        local = step - self.origin
        try:
            raw = self.formula.at(local if local > 0 else 0)
        except OverflowError:
            return math.inf
        if self.form is Form.PLAIN:
            return raw
        assert isinstance(raw, float)
        value = normalise_float(raw)
        return value if self.form is Form.FLOAT else self._rounded(value)

    def values(self, start: int, stop: int) -> list[Scalar]:
        """The values at steps ``start`` to ``stop - 1``: the very ones that ``value`` gives, for a part of its cost."""
        at, origin = self.formula.at, self.origin
        try:
            raw = [at(step - origin if step > origin else 0) for step in range(start, stop)]
        except OverflowError:
            return [self.value(step) for step in range(start, stop)]
        if self.form is Form.PLAIN:
            return raw
        # As in normalise_float, whose call would take as long as what it does.
        floats = [float(f"{value:.11e}") + 0.0 for value in raw]
        if self.form is Form.FLOAT:
            return [*floats]
        return [self._rounded(value) for value in floats]

    def _rounded(self, value: float) -> Scalar:
        """A normalised value of a law that is rounded, as it is handed out."""
        if not math.isfinite(value):
            return value
        return round(value) if self.form is Form.INT else float(round(value))

    def typed_value(self, step: int) -> Any:
        """The stand-in for the value at a step (``values.typed``)."""
        return self.key if self.constant else typed(self.value(step))

    def first_not_finite(self, start: int, stop: int) -> int | None:
        """The first step of a range at which the value is not finite."""
        if self.formula.always_finite():
            return None
        stop = int(min(stop, max(self.settles, start) + 1))
        steps = range(start, stop)
        if self.formula.monotone:
            found = start + bisect_left(steps, True, key=lambda step: not self._finite(step))
            return found if found < stop else None
        return next((step for step in steps if not self._finite(step)), None)

    def _finite(self, step: int) -> bool:
        value = self.value(step)
        return not isinstance(value, float) or math.isfinite(value)

    def to_json(self) -> Any:
        """The law as JSON: a constant plain, anything else an object."""
        if isinstance(self.formula, Constant):
            return scalar_to_json(self.formula.value)
        json = {"law": self.formula.name, **self.formula.to_json(), "from": self.origin}
        if self.form not in {Form.FLOAT, Form.PLAIN}:
            json["as"] = self.form.value
        return json


_interned: WeakValueDictionary[tuple[Any, ...], Law] = WeakValueDictionary()


def law(formula: Formula, origin: int, form: Form) -> Law:
    """The law of a formula that counts from ``origin``."""
    if isinstance(formula, Constant):
        origin = 0
    identity = (formula.identity(), origin, form)
    found = _interned.get(identity)
    if found is None:
        found = _interned.setdefault(identity, Law(formula, origin, form, identity))
    return found


def make(formula: Formula, origin: int, rounded: bool, kind: Kind) -> Law:
    """The law of a schedule's part for a hyper-parameter of some kind.

    Args:
        formula: The formula, with values as written.
        origin: The step that it counts from.
        rounded: Whether its values are rounded to ints.
        kind: The hyper-parameter's kind.

    Raises:
        ValueError: A value cannot be of that kind.
    """
    if isinstance(formula, Constant):
        return law(Constant(_final(formula.value, rounded, kind)), 0, Form.PLAIN)
    if isinstance(formula, Table):
        values = tuple(_final(value, rounded, kind) for value in formula.values)
        return law(Table(values), origin, Form.PLAIN)
    if not rounded:
        if kind is Kind.INT:
            raise ValueError(f"{formula.name} gives floats")
        return law(formula, origin, Form.FLOAT)
    return law(formula, origin, Form.ROUNDED if kind is Kind.FLOAT else Form.INT)


def _final(value: Scalar, rounded: bool, kind: Kind) -> Scalar:
    if rounded:
        number = normalise(value, Kind.FLOAT)
        assert isinstance(number, float)
        value = value if isinstance(value, int) else round(number)
    return normalise(value, kind)


def law_from_json(json: Any) -> Law:
    """The inverse of :meth:`Law.to_json`."""
    if not (isinstance(json, Mapping) and "law" in json):
        return law(Constant(scalar_from_json(json)), 0, Form.PLAIN)
    formula = formula_from_json(json["law"], json)
    plain = isinstance(formula, Table)
    return law(formula, json["from"], Form.PLAIN if plain else Form(json.get("as", Form.FLOAT)))


def first_difference(one: Law, other: Law, start: int, stop: int) -> int | None:
    """The first step in [start, stop) at which two laws have different values; None: they have none."""
    if one is other or start >= stop:
        return None
    if one.constant and other.constant:
        return None if one.key == other.key else start
    if one == other:
        return None
    if one.typed_value(start) != other.typed_value(start):
        return start
    settled = max(one.settles, other.settles)
    if settled < stop:
        # What is equal at the step at which both are constant from then on stays equal.
        stop = max(int(settled), start) + 1
    return _search(one, other, start + 1, stop)


def _search(one: Law, other: Law, start: int, stop: int) -> int | None:
    while start < stop:
        block = start // BLOCK
        first = block * BLOCK
        low, high = start - first, min(stop - first, BLOCK)
        differs = _block(one, block)[low:high] != _block(other, block)[low:high]
        index = int(differs.argmax())
        if differs[index]:
            return start + index
        start = first + high
    return None


@lru_cache(maxsize=CACHED_BLOCKS)
def _block(law: Law, index: int) -> npt.NDArray[Any]:
    """The stand-ins for the values of a law at steps ``index * BLOCK ...``: floats, or objects."""
    values = law.values(index * BLOCK, (index + 1) * BLOCK)
    if all(type(value) is float for value in values):
        return np.array(values, dtype=np.float64)
    block = np.empty(BLOCK, dtype=object)
    for position, value in enumerate(values):
        block[position] = typed(value)
    return block
