"""What schedules are made of: formulas, each in force from a step on; and the schedules that hold no others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from hippo_core import schedule_arguments as checks
from hippo_core.formulas import Constant, Formula, Ramp
from hippo_core.schedule_arguments import Arguments
from hippo_core.values import Scalar, normalise_float


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A formula that is in force from a step on.

    Attributes:
        start: The step, counted from the schedule's beginning.
        formula: The formula, with values as written.
        origin: The step that it counts from.
        rounded: Whether its values are rounded to ints.
    """

    start: int
    formula: Formula
    origin: int
    rounded: bool = False

    def moved(self, by: int) -> Piece:
        """The same piece, later."""
        return Piece(
            start=self.start + by, formula=self.formula, origin=self.origin + by, rounded=self.rounded
        )

    def raw(self, t: int) -> Scalar:
        """The value at a step of the schedule, before it is normalised."""
        value = self.formula.at(t - self.origin)
        return (
            round(normalise_float(float(checks.number(value, "schedules.rounded.of"))))
            if self.rounded
            else value
        )


def one(formula: type[Formula]) -> Callable[[Arguments], list[Piece]]:
    """A schedule that is one formula, whose parameters are its arguments."""

    def build(found: Arguments) -> list[Piece]:
        return [Piece(start=0, formula=formula(**found), origin=0)]

    return build


def multistep(found: Arguments) -> list[Piece]:
    """A constant between each two milestones."""
    built = []
    for count, start in enumerate((0, *found["milestones"])):
        try:
            value = found["initial"] * found["gamma"] ** count
        except OverflowError:
            value = math.inf
        built.append(Piece(start=start, formula=Constant(value), origin=0))
    return built


def wsd(found: Arguments) -> list[Piece]:
    """Up, along, down, and then for ever what it came down to; phases without steps are left out."""
    peak, final = found["peak"], found["final"]
    warmup, stable, decay = checks.wsd_lengths(found)
    parts: list[tuple[int, Formula]] = [
        (warmup, Ramp(0.0, peak, warmup)),
        (stable, Constant(peak)),
        (decay, Ramp(peak, final, decay)),
    ]
    built, start = [], 0
    for length, formula in parts:
        if length:
            built.append(Piece(start=start, formula=formula, origin=start))
        start += length
    built.append(Piece(start=start, formula=Constant(final), origin=start))
    return built
