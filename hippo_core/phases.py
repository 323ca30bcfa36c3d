"""Phases: from which step on each draw of a trial bears on its values, and what is drawn for each stretch of it.

A search that changes only what bears late shares all that is trained before: it forks there. What is said here holds
for any number of changes at once: trials whose draws are equal in all that bears before a step have equal values up to
that step.

It is read off the schedules' forms, not found by trying. Where the form does not tell, the earlier step is given: never
one that is later than the truth.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core import schedule_forms
from hippo_core.constraints import Constraint
from hippo_core.domains import Choice, Domain, Integer, Stepped, Uniform
from hippo_core.drawing import Entries, draw_assignment, name_of, resolve
from hippo_core.errors import InvalidStudy
from hippo_core.formulas import Constant
from hippo_core.kinds import is_branching
from hippo_core.laws import make
from hippo_core.schedule_arguments import wsd_decay
from hippo_core.schedule_forms import Part, Schedule
from hippo_core.sequence import Sequence
from hippo_core.space import Assignment, Space
from hippo_core.values import Kind

NEVER = sys.maxsize
"""Stands for the first step of a draw that bears on no value: that of a part which another one cuts off."""

ALIKE = 4096
"""How many steps beyond the last change of their laws two options are compared; then they count as told apart."""

AIMS: Mapping[str, frozenset[str]] = {
    "linear": frozenset({"initial"}),
    "polynomial": frozenset({"initial", "final"}),
    "exponential": frozenset({"initial"}),
    "cosine": frozenset({"initial", "final"}),
    "cosine_restarts": frozenset({"initial", "final"}),
    "cyclic": frozenset({"low"}),
}
"""Of smooth schedules, the arguments that their first value is computed from, if only to the last bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of a trial, for which something is drawn that bears on nothing before.

    Attributes:
        start: Its first step.
        names: The domains whose draws bear from there on, sorted; the first phase may have none.
    """

    start: int
    names: tuple[str, ...]


def phases(
    space: Space, assignment: Assignment, max_steps: int, evaluate_every: int = 1
) -> tuple[Phase, ...]:
    """A trial's phases, in order; the first one starts at 0.

    Args:
        space: What is searched.
        assignment: The trial's draws: start steps may depend on them.
        max_steps: How far it is trained: what bears from there on only is in no phase.
        evaluate_every: Starts are rounded down to its multiples: where a policy judges trials there, no value of
            the next phase has acted yet.
    """
    names: dict[int, list[str]] = {0: []}
    for name, step in first_steps(space, assignment).items():
        if step < max_steps:
            names.setdefault(step - step % evaluate_every, []).append(name)
    return tuple(Phase(start=start, names=tuple(sorted(names[start]))) for start in sorted(names))


def first_steps(space: Space, assignment: Assignment) -> dict[str, int]:
    """By domain that a trial has, sorted, the first step at whose values its draw may bear; ``NEVER``: at none.

    ``piecewise``, ``table``: the first step of the part or row. Milestones and lengths: the earliest step to which they
    can be drawn. ``warmup``: 0 where the ramp aims at it, else as in ``after``, shifted. ``wsd``: the final value and
    the length of the decay where it begins, or could begin where it ends at a
    horizon. Other schedules: where they begin. A choice: where two options can be told apart. A domain that stands in
    several places: the earliest.

    Args:
        space: What is searched.
        assignment: The trial's draws.
    """
    trial = _Trial(space.kinds, assignment)
    trial.walk_entries(space.entries, "", _as_it_is)
    found = {name: trial.first(name) for name in sorted(trial.places)}
    return {name: NEVER if step == math.inf else int(step) for name, step in found.items()}


def parting_steps(space: Space, assignment: Assignment) -> tuple[int, ...]:
    """The steps at which a trial could part from one that has another option somewhere, in order.

    Of a finite space they are all at which trials part from it; what is no choice counts where it first bears.

    Args:
        space: What is searched.
        assignment: The trial's draws.
    """
    trial = _Trial(space.kinds, assignment)
    trial.walk_entries(space.entries, "", _as_it_is)
    found = {step for places in trial.places.values() for place in places for step in trial.partings(place)}
    return tuple(sorted(int(step) for step in found if step < math.inf))


@dataclass(frozen=True, slots=True)
class _First:
    """Where a draw bears on a schedule, in the steps of that schedule.

    Attributes:
        step: The first step at whose value; infinite: at none.
        aimed: Whether it bears on the first value before that is rounded to its digits: a ramp that leads there
            changes with it.
    """

    step: float
    aimed: bool


_AT_ONCE = _First(0, True)
_NOWHERE = _First(math.inf, False)

_Way = Callable[[_First], _First]
"""From a nested schedule's steps to those of the trial."""


def _as_it_is(first: _First) -> _First:
    return first


def _within(outer: _Way, start: int, end: float) -> _Way:
    """The way from a part that is in force in [start, end)."""

    def way(first: _First) -> _First:
        step = start + first.step
        return outer(_First(step, first.aimed and start == 0)) if step < end else _NOWHERE

    return way


def _behind_ramp(outer: _Way, period: int) -> _Way:
    """The way from what comes after a ramp that aims at its first value."""
    return lambda first: outer(_AT_ONCE if first.aimed else _First(period + first.step, False))


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a part stands.

    Attributes:
        name: The hyper-parameter's.
        kind: That of the values there; None outside schedules of sub-spaces.
        way: From its steps to the trial's.
    """

    name: str
    kind: Kind | None
    way: _Way


@dataclass(frozen=True, slots=True)
class _Place:
    """One place where a domain stands.

    Attributes:
        spot: Where.
        first: What is known of it at once; of a choice among parts None: its options are to be compared.
        domain: The domain.
    """

    spot: _Spot
    first: _First | None
    domain: Domain


@dataclass(slots=True)
class _Trial:
    """A trial, or what another option of a choice would be in its place.

    Attributes:
        kinds: By hyper-parameter.
        drawn: Its draws.
        places: By domain, where it stands.
        found: By domain, its first step; None while that is being looked for.
    """

    kinds: Mapping[str, Kind]
    drawn: Assignment
    places: dict[str, list[_Place]] = field(default_factory=dict)
    found: dict[str, float | None] = field(default_factory=dict)

    def first(self, name: str) -> float:
        """The first step of the trial at whose values a draw may bear."""
        step = self.found.get(name)
        if step is None:
            self.found[name] = None
            step = min(self._first_at(place) for place in self.places[name])
            self.found[name] = step
        return step

    def _first_at(self, place: _Place) -> float:
        at_once = place.spot.way(place.first or _AT_ONCE).step
        found = math.inf
        for step in self.partings(place):
            found = min(found, step)
            if found <= at_once:
                break
        return found

    def partings(self, place: _Place) -> Iterator[float]:
        """The steps at which the trial could be told from others, each with another draw at a place."""
        if place.first is not None:
            yield place.spot.way(place.first).step
            return
        assert isinstance(place.domain, Choice)
        chosen = self.drawn[name_of(place.domain)]
        others = [option for number, option in enumerate(place.domain.options) if number != chosen]
        if not others:
            yield place.spot.way(_AT_ONCE).step
        for other in others:
            yield self._told_apart(self._chosen(place.domain), other, place.spot)

    def _told_apart(self, chosen: Part, other: Part, spot: _Spot) -> float:
        """The first step at which the trial could be told from one with another option, whatever is drawn for it.

        What stands in both is one draw: where it bears on the other option no earlier than on this trial, it counts as
        held. Otherwise the other option is known up to its own first step only.
        """
        instead = _Trial(self.kinds, _example(other, self.drawn))
        instead.walk(other, spot)
        free = [instead.first(name) for name in instead.places if not self._holds(name, instead.first(name))]
        try:
            differ = spot.way(_difference(self._parts(chosen, spot), instead._parts(other, spot))).step
        except (InvalidStudy, ValueError, OverflowError):  # the example cannot be trained: nothing is known
            return spot.way(_AT_ONCE).step
        return min([differ, *free])

    def _holds(self, name: str, step: float) -> bool:
        if name not in self.places or self.found.get(name, 0) is None:
            return False
        return self.first(name) <= step

    def _parts(self, part: Part, spot: _Spot) -> _Parts:
        """By hyper-parameter, a part without domains, and the kind of its values."""
        parts = resolve({spot.name: part}, lambda domain: self.drawn[name_of(domain)])
        return {name: (each, spot.kind or self.kinds[name]) for name, each in parts.items()}

    def _chosen(self, choice: Choice) -> Part:
        index = self.drawn[name_of(choice)]
        assert isinstance(index, int)
        return choice.options[index]

    def _number(self, value: Any) -> int:
        """The length or milestone that an argument comes to."""
        return int(self._value(value))

    def _value(self, value: Any) -> Any:
        """What an argument comes to."""
        while isinstance(value, Choice):
            value = self._chosen(value)
        return self.drawn[name_of(value)] if isinstance(value, Domain) else value

    # Looking for the places

    def walk_entries(self, entries: Entries, prefix: str, way: _Way) -> None:
        """Notes the places in a space or sub-space."""
        for key, part in entries.items():
            if not isinstance(part, Constraint):
                name = prefix + key
                self.walk(part, _Spot(name, None if is_branching(part) else self.kinds[name], way))

    def walk(self, part: Part, spot: _Spot) -> None:
        """Notes the places in a part that gives values, or in a sub-space."""
        if isinstance(part, Mapping):
            self.walk_entries(part, f"{spot.name}.", spot.way)
        elif isinstance(part, Choice):
            self._note(part, spot, None)
            self.walk(self._chosen(part), spot)
        elif isinstance(part, Domain):
            self._note(part, spot, _AT_ONCE)
        elif isinstance(part, Schedule) and part.draws:
            self._walk_schedule(part, spot)

    def _walk_schedule(self, schedule: Schedule, spot: _Spot) -> None:
        given = schedule.arguments
        if schedule.kind == "piecewise":
            self._milestones(given["milestones"], spot)
            self._stretches(given["values"], [self._number(each) for each in given["milestones"]], spot)
        elif schedule.kind == "table":
            self._stretches(given["values"], list(range(1, len(given["values"]))), spot)
        elif schedule.kind == "rounded":
            # What is equal before it is rounded is equal afterwards.
            self.walk(given["of"], _Spot(spot.name, Kind.FLOAT, spot.way))
        elif schedule.kind == "warmup":
            self._argument(given["period"], spot, _AT_ONCE)
            self._argument(given["initial"], spot, _AT_ONCE)
            way = _behind_ramp(spot.way, self._number(given["period"]))
            self.walk(given["after"], _Spot(spot.name, spot.kind, way))
        else:
            for name, first in self._firsts(schedule).items():
                self._argument(given[name], spot, first)
            if schedule.kind == "multistep":
                self._milestones(given["milestones"], spot)

    def _firsts(self, schedule: Schedule) -> dict[str, _First]:
        """Of a schedule that nests none, where each argument bears, but for milestones."""
        given = schedule.arguments
        if schedule.kind == "multistep":
            steps = given["milestones"]
            gamma = _First(self._number(steps[0]), False) if steps else _NOWHERE
            return {"initial": _AT_ONCE, "gamma": gamma}
        if schedule.kind == "step_decay":
            every = self._number(given["every"])
            shortest = min(every, _lowest(given["every"]))
            return {"initial": _AT_ONCE, "gamma": _First(every, False), "every": _First(shortest, False)}
        if schedule.kind == "wsd" and "stable" in given:
            warmup, stable = self._number(given["warmup"]), self._number(given["stable"])
            ended = warmup + min(stable, _lowest(given["stable"]))
            decays = _First(warmup + stable, warmup + stable == 0)
            return {
                "peak": _AT_ONCE,
                "warmup": _AT_ONCE,
                "stable": _First(ended, ended == 0),
                "decay": decays,
                "final": decays,
            }
        if schedule.kind == "wsd":
            horizon = self._number(given["horizon"])
            ends = horizon - wsd_decay(self._value(given["decay"]), horizon)
            earliest = max(0, min(ends, horizon - _longest_decay(given["decay"], horizon)))
            return {
                "peak": _AT_ONCE,
                "warmup": _AT_ONCE,
                "decay": _First(earliest, earliest == 0),
                "final": _First(ends, ends == 0),
                "horizon": _First(0, False),
            }
        aims = AIMS.get(schedule.kind, frozenset(given))
        return {name: _First(0, name in aims) for name in given}

    def _milestones(self, steps: tuple[Any, ...], spot: _Spot) -> None:
        before = 0
        for each in steps:
            step = self._number(each)
            self._argument(each, spot, _First(min(step, max(before + 1, _lowest(each))), False))
            before = step

    def _stretches(self, parts: tuple[Part, ...], milestones: list[int], spot: _Spot) -> None:
        starts, ends = (0, *milestones), (*milestones, math.inf)
        for part, start, end in zip(parts, starts, ends, strict=True):
            self.walk(part, _Spot(spot.name, spot.kind, _within(spot.way, start, end)))

    def _argument(self, value: Any, spot: _Spot, first: _First) -> None:
        """Notes the domains of an argument that is a number, all of which bear from where the argument does."""
        while isinstance(value, Choice):
            self._note(value, spot, first)
            value = self._chosen(value)
        if isinstance(value, Domain):
            self._note(value, spot, first)

    def _note(self, domain: Domain, spot: _Spot, first: _First | None) -> None:
        self.places.setdefault(name_of(domain), []).append(_Place(spot, first, domain))


_Parts = Mapping[str, tuple[Part, Kind]]


def _lowest(value: Any) -> int:
    """The least that can be drawn for a length or milestone; 0 where that cannot be told."""
    if isinstance(value, Choice):
        return min(_lowest(option) for option in value.options)
    if isinstance(value, Integer):
        return value.low
    return value if isinstance(value, int) else 0


def _longest_decay(value: Any, horizon: int) -> int:
    """The most steps that a decay can be drawn to last; the horizon where that cannot be told."""
    if isinstance(value, Choice):
        return max(_longest_decay(option, horizon) for option in value.options)
    if isinstance(value, Integer | Uniform | Stepped):
        return wsd_decay(value.high, horizon)
    return horizon if isinstance(value, Domain) else wsd_decay(value, horizon)


def _example(part: Part, drawn: Assignment) -> Assignment:
    """Draws for a part: those given where it has them; the others spread, so that milestones increase."""

    def draws(count: int) -> dict[str, Any]:
        free = 0

        def decide(domain: Domain) -> Any:
            nonlocal free
            given = drawn.get(name_of(domain))
            if name_of(domain) in drawn and domain.holds(given):
                return given
            free += 1
            return domain.draw(min(free, count) / (count + 1))

        found = draw_assignment({"": part}, decide)
        return found if free <= count else draws(free)

    return draws(0)


def _difference(one: _Parts, other: _Parts) -> _First:
    """Where the values of two differ first."""
    if one.keys() != other.keys():
        return _AT_ONCE
    sequences = [Sequence({name: _stretches(*part) for name, part in each.items()}) for each in (one, other)]
    starts = sorted({*sequences[0].starts, *sequences[1].starts})
    ends = [*starts[1:], starts[-1] + ALIKE]
    same_for_ever = sequences[0].laws(starts[-1]) == sequences[1].laws(starts[-1])
    step = math.inf if same_for_ever else ends[-1]
    for start, end in zip(starts, ends, strict=True):
        found = sequences[0].first_difference(sequences[1].laws(start), start, end)
        if found is not None:
            step = found
            break
    return _First(step, any(_beginning(one[name][0]) != _beginning(other[name][0]) for name in one))


def _stretches(part: Part, kind: Kind) -> Any:
    if isinstance(part, Schedule):
        return part.stretches(kind)
    return [(0, make(Constant(part), 0, False, kind))]


def _beginning(part: Part) -> Any:
    return schedule_forms.pieces(part)[0].raw(0)
