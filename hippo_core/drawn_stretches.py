"""What the entries of a space come to, remembered by what was drawn for each.

A grid of 100,000 trials has some hundred different entries: each is resolved and put into canonical form once. What is
drawn from a range is not remembered, since it hardly comes again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hippo_core.constraints import Constraint
from hippo_core.domains import Choice, Domain
from hippo_core.drawing import name_of, resolve
from hippo_core.laws import Law
from hippo_core.schedule_forms import Part, Schedule
from hippo_core.space import Assignment, Space
from hippo_core.trial_schedules import stretches
from hippo_core.values import Scalar

MOST = 16_384
"""How many are remembered of a space; then they are forgotten, and made again."""

_PLACES = frozenset({int, type(None)})

Stretches = list[tuple[int, Law]]
Drawn = tuple[tuple[str, Stretches], ...]


class DrawnStretches:
    """The stretches of a trial's schedules, by what was drawn.

    Args:
        space: What is drawn from.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._entries = [
            ({key: part}, tuple(sorted(set(_names_in(part)))))
            for key, part in space.entries.items()
            if not isinstance(part, Constraint)
        ]
        self._known: dict[tuple[int, tuple[Scalar, ...]], Drawn] = {}

    def of(self, assignment: Assignment) -> dict[str, Stretches]:
        """By hyper-parameter that a trial has, the stretches of its schedule.

        Raises:
            InvalidStudy: A draw is missing or impossible, or a schedule refuses what was drawn for it.
        """
        decide = self._space.decided(assignment)
        found: dict[str, Stretches] = {}
        for index, (entry, names) in enumerate(self._entries):
            draws = tuple([assignment.get(name) for name in names])
            # True and 1.0 equal 1, and are no draws where 1 is one. What an entry's trial does not have is None.
            known = _PLACES.issuperset(map(type, draws))
            drawn = self._known.get((index, draws)) if known else None
            if drawn is None:
                drawn = tuple(stretches(resolve(entry, decide), self._space).items())
                if known:
                    if len(self._known) >= MOST:
                        self._known.clear()
                    self._known[index, draws] = drawn
            found.update(drawn)
        return found


def is_remembered(assignment: Mapping[str, Scalar]) -> bool:
    """Whether nothing was drawn from a range, so that a trial's schedules are made fast once others' were."""
    return all(type(each) is int for each in assignment.values())


def _names_in(part: Part) -> Iterator[str]:
    """The domains in a part, whether or not a trial has them."""
    within: Any = ()
    if isinstance(part, Domain):
        yield name_of(part)
    if isinstance(part, Choice):
        within = part.options
    elif isinstance(part, Schedule):
        within = [each for _, each in part.children()]
    elif isinstance(part, Mapping):
        within = part.values()
    for each in within:
        yield from _names_in(each)
