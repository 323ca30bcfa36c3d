"""Exploring: from the values of a trial to those of its fork.

After M. Jaderberg et al., "Population Based Training of Neural Networks" (arXiv 1711.09846), section 4.1.2, "explore":
a value is multiplied by one of two factors, or drawn anew from the domain that it came from.

What is explored are the draws that are the plain value of a hyper-parameter: a number from a domain, or one of several
constants. Which schedule or sub-space a trial has, and what was drawn for a schedule's arguments, its fork inherits:
a schedule that was begun goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from hippo_core.constraints import Constraint
from hippo_core.domains import Choice, Domain, Integer, Stepped, Uniform
from hippo_core.drawing import Entries, name_of
from hippo_core.schedule_forms import Part, Schedule
from hippo_core.space import Assignment, Space
from hippo_core.values import Scalar, normalise_float

TRIES = 100
"""How often a fork's values are drawn until they satisfy the constraints and are nobody else's."""

Chance = Callable[[str], float]
"""A number from [0, 1) for a purpose, in a word."""


def explored(space: Space, assignment: Assignment | None = None) -> dict[str, Domain]:
    """The domains that are explored, by name.

    Args:
        space: What is searched.
        assignment: A trial's draws; None: those of any trial.
    """
    found: dict[str, Domain] = {}
    fixed: set[str] = set()
    for domain, is_plain in _domains(space.entries, assignment):
        if not is_plain:
            fixed.add(name_of(domain))
        elif domain.size != 1:
            found[name_of(domain)] = domain
    return {name: found[name] for name in sorted(found) if name not in fixed}


def _domains(entries: Entries, assignment: Assignment | None) -> Iterator[tuple[Domain, bool]]:
    """All domains of hyper-parameters, and whether each is the plain value of one."""
    for part in entries.values():
        if not isinstance(part, Constraint):
            yield from _domains_of(part, assignment, within_schedule=False)


def _domains_of(
    part: Part, assignment: Assignment | None, *, within_schedule: bool
) -> Iterator[tuple[Domain, bool]]:
    if isinstance(part, Schedule):
        for _, each in part.children():
            yield from _domains_of(each, assignment, within_schedule=True)
    elif isinstance(part, Mapping):
        yield from _domains(part, assignment)
    elif isinstance(part, Choice):
        is_plain = not any(isinstance(option, Schedule | Domain | Mapping) for option in part.options)
        yield part, is_plain and not within_schedule
        options = part.options
        if assignment is not None:
            chosen = assignment[name_of(part)]
            assert isinstance(chosen, int)
            options = (part.options[chosen],)
        for option in options:
            yield from _domains_of(option, assignment, within_schedule=within_schedule)
    elif isinstance(part, Domain):
        yield part, not within_schedule


@dataclass(frozen=True, slots=True)
class Perturbation:
    """How a value is explored by itself.

    Attributes:
        resample_probability: How often it is drawn anew from its domain.
        factors: With which of them a number is multiplied otherwise, equally likely.
    """

    resample_probability: float
    factors: tuple[float, ...]

    def value(self, domain: Domain, value: Scalar, chance: Chance) -> Scalar:
        """Another value of a domain; at its bounds it may be the same.

        A number is multiplied by a factor and kept within the bounds; of a domain whose values can be listed it is the
        nearest, and at least the next one. Of several numbers it is the next larger or smaller one. Anything else is
        drawn anew.
        """
        if chance("resample") < self.resample_probability:
            return domain.draw(chance("value"))
        if isinstance(domain, Choice):
            return _neighbour(domain, value, chance)
        factor = self.factors[int(chance("factor") * len(self.factors))]
        assert isinstance(value, int | float)
        return _multiplied(domain, value, factor)


def _multiplied(domain: Domain, value: float, factor: float) -> Scalar:
    match domain:
        case Uniform():
            return min(max(normalise_float(value * factor), domain.low), domain.high)
        case Stepped():
            low, unit = domain.low, domain.q
        case Integer():
            low, unit = float(domain.low), 1.0
        case _:
            raise AssertionError(f"{type(domain).__name__} has no numbers")
    assert domain.size is not None
    index, aim = round((value - low) / unit), round((value * factor - low) / unit)
    if aim == index:
        aim += 1 if value * factor > value or (value == 0 and factor > 1) else -1
    return domain.item(min(max(aim, 0), domain.size - 1))


def _neighbour(choice: Choice, index: Scalar, chance: Chance) -> Scalar:
    options = choice.options
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in options):
        return choice.draw(chance("value"))
    order = sorted(range(len(options)), key=lambda each: (options[each], each))
    assert isinstance(index, int)
    place = order.index(index) + (1 if chance("factor") < 1 / 2 else -1)
    return order[min(max(place, 0), len(order) - 1)]


def first_allowed(
    space: Space,
    parent: Assignment,
    proposals: Iterator[Mapping[str, Scalar]],
    taken: Collection[Assignment],
) -> Assignment:
    """The first of some proposals that satisfies the constraints and is not taken.

    Where all are taken the first that satisfies the constraints, where none does the parent's own draws.

    Args:
        space: What is searched.
        parent: The draws of the parent.
        proposals: Other values for some of them.
        taken: The draws of others.
    """
    second: Assignment | None = None
    for proposal in proposals:
        found = {**parent, **proposal}
        if not space.satisfied(found):
            continue
        if found not in taken:
            return found
        second = found if second is None else second
    return dict(parent) if second is None else second
