"""Levels: at which steps the phases of a search's trials end, so that trials are compared and forked there.

``hippo_core.phases`` says of one trial from which step on each of its draws bears. Trials are compared at equal steps
only, so a search needs steps that are the same for all: for each domain, the earliest of some points drawn at random.
Where all schedules change at the same steps, these are they. Where steps are drawn themselves, what bears later in a
trial than in others is changed with what bears there.

A long first phase has a rung on the way: most trunks are poor, and that shows early. It is a level of its own, above
which nothing is drawn.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from hippo_core.chance import uniform
from hippo_core.phases import first_steps, phases
from hippo_core.policies.policy import round_up
from hippo_core.space import Assignment, Space

EXAMPLES = 32
"""How many points are looked at."""

FEWEST = 1 / 8
"""A phase counts if so large a share of the points have something that is drawn for it."""

SHORTEST = 1 / 9
"""The shortest phase but for the last one, as a share of ``max_steps``."""

RUNG = 1 / 9
"""Where the rung of the first phase is, as a share of ``max_steps``, if the phase is twice as long at least."""

PER_KEPT = 3
"""Of how many trunks at the rung one goes on."""


@dataclass(frozen=True, slots=True)
class PhaseLevels:
    """The phases of a search.

    Attributes:
        ends: Where they end, the last one at ``max_steps``; before them the rung, where there is one.
        names: By level, the domains whose draws bear before the end of its phase, in some trial at least.
    """

    ends: tuple[int, ...]
    names: tuple[frozenset[str], ...]

    def is_rung(self, level: int) -> bool:
        """Whether the best of a level go on as they are."""
        return level < self.last and self.names[level + 1] == self.names[level]

    @property
    def last(self) -> int:
        """The last level; 0: there is but one."""
        return len(self.ends) - 1

    def before(self, space: Space, assignment: Assignment, level: int) -> set[str]:
        """The domains of a trial whose draws bear before a level's phase."""
        start = self.ends[level - 1] if level else 0
        return {name for name, step in first_steps(space, assignment).items() if step < start}


def levels_of(space: Space, max_steps: int, evaluate_every: int) -> PhaseLevels:
    """The phases of a search.

    Args:
        space: What is searched.
        max_steps: How far trials are trained, a multiple of ``evaluate_every``.
        evaluate_every: Phases end at its multiples.
    """
    key = f"phase levels {max_steps} {evaluate_every}"
    return space.remembered(key, lambda: _levels_of(space, max_steps, evaluate_every))


def _levels_of(space: Space, max_steps: int, evaluate_every: int) -> PhaseLevels:
    earliest: dict[str, int] = {}
    having: Counter[str] = Counter()
    for example in range(EXAMPLES):
        point = space.draw(lambda name, example=example: uniform(example, name))  # type: ignore[misc]
        for phase in phases(space, point, max_steps, evaluate_every):
            having.update(phase.names)
            earliest |= {name: min(phase.start, earliest.get(name, max_steps)) for name in phase.names}
    ends = [0]
    for step in sorted(set(earliest.values())):
        shared = max(having[name] for name, start in earliest.items() if start == step)
        if step - ends[-1] >= max_steps * SHORTEST and shared >= EXAMPLES * FEWEST:
            ends.append(step)
    ends = [*ends[1:], max_steps]
    names = [frozenset(name for name, start in earliest.items() if start < end) for end in ends]
    rung = round_up(math.ceil(max_steps * RUNG), evaluate_every)
    if len(ends) > 1 and 2 * rung <= ends[0]:
        ends.insert(0, rung)
        names.insert(0, names[0])
    return PhaseLevels(tuple(ends), tuple(names))
