"""Spaces: what is searched. Named hyper-parameters with values, schedules and domains.

A space is kept in canonical form: nested dicts are flattened to names joined with a dot, names are sorted
(JSON stores do not keep an order), and every domain has its name. One name is one draw, wherever it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from itertools import islice
from typing import Any, Self, TypeVar

from hippo_core.arguments import worded
from hippo_core.constraints import Constraint
from hippo_core.constraints import constraint as constraint
from hippo_core.domain_calls import choice as choice
from hippo_core.domain_calls import integer as integer
from hippo_core.domain_calls import logint as logint
from hippo_core.domain_calls import loguniform as loguniform
from hippo_core.domain_calls import quniform as quniform
from hippo_core.domain_calls import uniform as uniform
from hippo_core.domains import HORIZON, Choice, Domain, Horizon, part_to_json
from hippo_core.drawing import (
    draw_assignment,
    in_order,
    list_assignments,
    name_of,
    plain_values,
    resolve,
    unconditional,
)
from hippo_core.errors import InvalidStudy
from hippo_core.kinds import always_valid, kinds_of
from hippo_core.schedule_forms import Part, Schedule
from hippo_core.space_reading import part_from_json, read_space
from hippo_core.values import Kind, Scalar

Assignment = Mapping[str, Scalar]
T = TypeVar("T")
DEEPEST = 64  #: dicts, choices and schedules within one another


@dataclass(frozen=True, slots=True, kw_only=True)
class EndOf:
    """The end of a hyper-parameter's schedule, as ``max_steps``."""

    name: str


#: How many names a space is shown by.
MOST_NAMES = 6


@worded("space.end_of")
def end_of(name: str) -> EndOf:
    """Each trial is trained to the end of its schedule of this name.

    linear, polynomial, cosine, one_cycle, from_function: the period. wsd: the sum of its parts. table: its
    length.
    warmup: its period + the end of ``after``. piecewise: the last milestone + the end of the last part.
    Others have no end.
    """
    if not isinstance(name, str) or not name:
        raise InvalidStudy("space.end_of.name", f"must be a hyper-parameter's name, not {name!r}")
    return EndOf(name=name)


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """What is searched, in canonical form.

    Args:
        entries: As a person writes it: by name, values, schedules, domains, or dicts of these.

    Attributes:
        entries: By full name, sorted.
        domains: All domains by name; no order.
        kinds: The kind of every hyper-parameter that some trial has, by name, sorted.
        constraints: What every assignment satisfies.
    """

    entries: Mapping[str, Part]
    domains: Mapping[str, Domain] = field(init=False)
    kinds: Mapping[str, Kind] = field(init=False)
    constraints: tuple[Constraint, ...] = field(init=False)
    _product: tuple[Domain, ...] | None = field(init=False, repr=False)
    _listed: list[dict[str, Scalar]] = field(init=False, repr=False)
    _unlisted: Iterator[dict[str, Scalar]] = field(init=False, repr=False)
    _remembered: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Flattens, names and checks."""
        if not isinstance(self.entries, Mapping):
            raise InvalidStudy("space", f"must be a dict by name, not {self.entries!r}")
        _require_shallow(self.entries)
        entries, domains = read_space(self.entries)
        object.__setattr__(self, "entries", entries)
        object.__setattr__(self, "domains", domains)
        object.__setattr__(self, "kinds", kinds_of(entries))
        constraints = tuple(part for part in entries.values() if isinstance(part, Constraint))
        object.__setattr__(self, "constraints", constraints)
        object.__setattr__(self, "_product", self._as_product())
        object.__setattr__(self, "_listed", [])
        object.__setattr__(self, "_unlisted", self.assignments())
        object.__setattr__(self, "_remembered", {})

    def _as_product(self) -> tuple[Domain, ...] | None:
        """The domains in the order of drawing where assignments are all combinations of their values; else None."""
        domains = {name_of(each): each for each in in_order(self.entries)}
        options = [each.options for each in domains.values() if isinstance(each, Choice)]
        if self.constraints or any(True for each in options for _ in in_order(each)):
            return None
        return None if any(each.size is None for each in domains.values()) else tuple(domains.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"<Space: {', '.join(islice(self.kinds, MOST_NAMES))}{self._more()}; {len(self.domains)} domains>"
        )

    def _more(self) -> str:
        rest = len(self.kinds) - MOST_NAMES
        return f" and {rest} more" if rest > 0 else ""

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

    def to_json(self) -> dict[str, Any]:
        """The space as a JSON object."""
        return {name: part_to_json(part) for name, part in self.entries.items()}

    @classmethod
    def from_json(cls, json: Any) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            InvalidStudy: It is not the JSON of a space.
        """
        if not isinstance(json, Mapping):
            raise InvalidStudy("space", f"must be a JSON object by name, not {json!r}")
        return cls({name: part_from_json(part, f"space[{name!r}]") for name, part in json.items()})

    def unlistable(self) -> Domain | None:
        """A domain that has too many values to list, if there is one: then the space is not finite."""
        return next((each for _, each in sorted(self.domains.items()) if each.size is None), None)

    def fewest(self) -> tuple[int, bool]:
        """How many assignments a finite space has at least, constraints apart, and whether it has no more: those of the
        domains that every trial has.
        """
        always = self.unconditional()
        return math.prod(domain.size or 0 for domain in always), len(always) == len(self.domains)

    def has_at_most(self, most: int) -> bool:
        """Whether a finite space has no more than so many assignments, constraints apart."""
        product = 1
        for domain in self.domains.values():
            assert domain.size is not None, "the space is finite"
            product *= domain.size
        if product <= most:
            return True  # as if every trial had every domain
        return sum(1 for _ in islice(list_assignments(self.entries), most + 1)) <= most

    def always_valid(self) -> bool:
        """Whether provably every assignment gives schedules that are right, and finite at every step."""
        return all(always_valid(part) for part in self.entries.values())

    def assignments(self) -> Iterator[dict[str, Scalar]]:
        """Of a finite space, all assignments: names in order, the last domain's values change fastest."""
        return filter(self.satisfied, list_assignments(self.entries))

    def satisfied(self, assignment: Assignment) -> bool:
        """Whether an assignment satisfies all constraints."""
        return self._broken(assignment) is None

    def _broken(self, assignment: Assignment) -> Constraint | None:
        """A constraint that an assignment does not satisfy."""
        if not self.constraints:
            return None
        values = plain_values(self.entries, self.domains, assignment)
        return next((each for each in self.constraints if not each.holds(values)), None)

    def assignment(self, number: int) -> Assignment | None:
        """Of a finite space, assignment ``number`` from 0; None where there are not so many."""
        if self._product is not None:
            return _of_product(self._product, number)
        missing = number + 1 - len(self._listed)
        if missing > 0:
            self._listed.extend(islice(self._unlisted, missing))
        return self._listed[number] if number < len(self._listed) else None

    def count(self, most: int) -> int:
        """How many assignments a finite space has; ``most`` where it has as many or more."""
        if self._product is not None:
            return min(most, math.prod(domain.size or 0 for domain in self._product))
        return sum(1 for _ in islice(self.assignments(), most))

    def remembered(self, key: str, make: Callable[[], T]) -> T:
        """What follows from the space and a key, made once."""
        if key not in self._remembered:
            self._remembered[key] = make()
        found: T = self._remembered[key]
        return found

    def draw(self, uniform: Callable[[str], float]) -> dict[str, Scalar]:
        """One assignment, whether or not it satisfies the constraints.

        Args:
            uniform: A number from [0, 1) for a domain's name.
        """
        return draw_assignment(self.entries, lambda domain: domain.draw(uniform(name_of(domain))))

    def decide(self, decide: Callable[[Domain], Scalar]) -> dict[str, Scalar]:
        """One assignment, whether or not it satisfies the constraints.

        Args:
            decide: A value for each domain that the trial has, given the values before.
        """
        return draw_assignment(self.entries, decide)

    def unconditional(self) -> list[Domain]:
        """The domains that every trial has, by name."""
        found = {name_of(domain): domain for domain in unconditional(self.entries)}
        return [found[name] for name in sorted(found)]

    def checked(self, assignment: Assignment) -> dict[str, Scalar]:
        """An assignment, in the order of drawing, if a trial may have it; without its horizon, which is not drawn.

        Raises:
            InvalidStudy: A draw is missing, impossible or one too many, or the constraints are not satisfied.
        """
        found = self.decide(lambda domain: 1 if isinstance(domain, Horizon) else _decided(domain, assignment))
        found.pop(HORIZON, None)
        for name in assignment:
            if name not in found and name != HORIZON:
                raise InvalidStudy(f"assignment[{name!r}]", "the trial has no such draw")
        broken = self._broken(found)
        if broken is not None:
            raise InvalidStudy("assignment", f"does not satisfy {broken.expression!r}")
        return found

    def at(self, horizon: int) -> Space:
        """The same space where all trials are so long: one whose horizon is no draw any more."""
        if HORIZON not in self.domains:
            return self
        return Space({name: _at(part, horizon) for name, part in self.entries.items()})

    def resolve(self, assignment: Assignment) -> dict[str, Part]:
        """The hyper-parameters of a trial: values and schedules without domains, by name, sorted.

        Args:
            assignment: What was drawn, by the domains' names.

        Raises:
            InvalidStudy: A draw is missing or impossible, or a schedule refuses what was drawn for it.
        """
        return resolve(self.entries, self.decided(assignment))

    @staticmethod
    def decided(assignment: Assignment) -> Callable[[Domain], Scalar]:
        """What was drawn for a domain; as :meth:`resolve` raises where that is missing or impossible."""
        return lambda domain: _decided(domain, assignment)


def _require_shallow(entries: Mapping[Any, Any]) -> None:
    """Refuses a space that is nested so deep that whatever walks it would run out of stack."""
    todo: list[tuple[Any, int]] = [(entries, 0)]
    while todo:
        part, depth = todo.pop()
        if depth > DEEPEST:
            raise InvalidStudy("space", f"is nested more than {DEEPEST} deep", "Nest it less.")
        within: Iterable[Any] = ()
        if isinstance(part, Mapping):
            within = part.values()
        elif isinstance(part, list | tuple):
            within = part
        elif isinstance(part, Choice):
            within = part.options
        elif isinstance(part, Schedule):
            within = (each for _, each in part.children())
        todo.extend((each, depth + 1) for each in within if not isinstance(each, int | float | str))


def _of_product(domains: tuple[Domain, ...], number: int) -> Assignment | None:
    """Combination ``number`` of the values of domains, the last one's changing fastest; None: there are fewer."""
    drawn: list[tuple[str, Scalar]] = []
    for domain in reversed(domains):
        assert domain.size is not None, "the space is finite"
        number, index = divmod(number, domain.size)
        drawn.append((name_of(domain), domain.item(index)))
    return None if number else dict(reversed(drawn))


def _decided(domain: Domain, assignment: Assignment) -> Scalar:
    name = name_of(domain)
    if name not in assignment or not domain.holds(assignment[name]):
        drawn = assignment.get(name, "nothing")
        raise InvalidStudy(f"assignment[{name!r}]", f"{drawn!r} cannot be drawn")
    return assignment[name]


def _at(part: Part, horizon: int) -> Part:
    """A part with its horizon in the place of the domain."""
    if isinstance(part, Horizon):
        return horizon
    if isinstance(part, Choice):
        return replace(part, options=tuple(_at(each, horizon) for each in part.options))
    if isinstance(part, Mapping):
        return {name: _at(each, horizon) for name, each in part.items()}
    return part.mapped(lambda _, each: _at(each, horizon)) if isinstance(part, Schedule) else part
