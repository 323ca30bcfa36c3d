"""Points for ``policies.fork_asha``: new ones, and forks of the best trials from a later phase on.

A trial's draws belong to phases (``hippo_core.phases``): those of a later phase bear on no step before it. A point that
has another's draws up to a phase shares that one's training up to there, and costs only the rest. A plain search does
not come upon such points where draws are continuous; this one makes them. With trials that have come to their end:

- A share of the proposals (``fork_share``) are *forks*. The base is one of the best trials, the phase is any but the
  first; draws from that phase on are new: half the time drawn from the model's good points, else moved a little from
  the base's. Of so many candidates that with the largest l / g is taken.
- The others are *new beginnings*. Only the draws of the first phase are new, by a model of these alone; the rest is a
  good trial's, since a beginning is known by its end: a good one does not show with a bad ending, and what makes an
  ending good is much the same whatever came before.

Before so many have ended, points are random, then those of the model. It is the multivariate tree-structured Parzen
estimator (``parzen``) over all trials: the furthest step first, then what they are worth there. What has diverged is
the worst; trials of which nothing is known yet count among the others, so that those made side by side keep apart.

A point that was tried before is passed over. In a finite space a new point may still be one whose path is trained;
after ``STALE`` such trials in a row a point is random, so that the search gets out of what it knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from hippo_core.domains import Choice, Domain
from hippo_core.drawing import name_of
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.phases import Phase, first_steps, phases
from hippo_core.policies import ForkAshaSpec
from hippo_core.policies.fork_asha import ENOUGH
from hippo_core.program import canonical_json
from hippo_core.proposing.draws import Point, digest, generator
from hippo_core.proposing.parzen import TreeParzen
from hippo_core.proposing.places import place, value
from hippo_core.samplers import Random
from hippo_core.space import Assignment
from hippo_core.values import Scalar

STARTUP = 10
"""So many trials are known before the model is asked."""

BASES = 0.15
"""So many of the trials that have come to their end are forked, two at least."""

CANDIDATES = 24
MOVED = 0.5
"""In so many forks draws are moved from the base's; in the others they are the model's."""

SPREAD = 0.15
"""The standard deviation of a move, in a domain's stretch."""

REDRAWN = 0.3
"""How likely a choice is drawn anew where draws are moved."""

STALE = 40


def proposals(task: ProposalTask) -> Iterator[Point]:
    """The points that are proposed for a trial, one after the other, as long as none can be trained."""
    search = Search(task)
    for attempt in count():
        yield search.proposal(attempt)


class Search:
    """What is known after a history.

    Args:
        task: The history.

    Attributes:
        data: Points of which something is known, and what: less is better.
        pending: Points of which nothing is known yet.
        ended: The trials that have come to their end, the best first.
    """

    def __init__(self, task: ProposalTask) -> None:
        assert isinstance(task.spec.policy, ForkAshaSpec)
        self._task = task
        self._space = task.spec.space
        self._seed = task.spec.program.seed
        self._share = task.spec.policy.fork_share
        known = [(past, self._rank(past)) for past in task.history if past.assignment]
        self.data = [(past.assignment, rank) for past, rank in known if rank is not None]
        self.pending = [
            past.assignment for past, rank in known if rank is None and past.state is TrialState.WAITING
        ]
        ended = [
            (rank[1:], past.trial)
            for past, rank in known
            if past.state is TrialState.COMPLETED and rank is not None
        ]
        self.ended = [task.history[trial] for _, trial in sorted(ended)]
        self._tried = {_key(past.assignment) for past in task.history}
        self._model: TreeParzen | None = None

    def proposal(self, attempt: int) -> Point:
        """A point and what is noted with it; ``attempt`` counts those before, which cannot be trained."""
        stream = generator(self._seed, self._task.trial, attempt, "fork_asha")
        found = None
        if len(self.ended) >= ENOUGH and not self._is_stale():
            made = self._fork if stream.random() < self._share else self._beginning
            found = made(stream)
        if found is None and len(self.data) >= STARTUP and not self._is_stale():
            found = self._drawn(stream)
        return found or self._random(attempt)

    def _fork(self, stream: np.random.Generator) -> Point | None:
        """One of the best trials up to a phase, with other draws from there on."""
        rank, base = self._base(stream)
        later = self._later(base)
        if not later:
            return None
        start = later[int(stream.random() * len(later))].start
        changed = {name for phase in later if phase.start >= start for name in phase.names}
        kept = {name: drawn for name, drawn in base.assignment.items() if name not in changed}
        if stream.random() < MOVED:
            points = [self._moved(base.assignment, kept, stream) for _ in range(CANDIDATES)]
        else:
            points = self.model.draw(stream, CANDIDATES, kept)
        best = self._best(points, self.model)
        return None if best is None else (best, {**self._notes("fork", rank, base), "at": start})

    def _beginning(self, stream: np.random.Generator) -> Point | None:
        """New draws for the first phase, with those of one of the best trials for the others."""
        rank, base = self._base(stream)
        later = self._later(base)
        if not later:
            return None
        names = {name for phase in later for name in phase.names}
        kept = {name: drawn for name, drawn in base.assignment.items() if name in names}
        model = TreeParzen(self._space, self.data, self.pending, set(self._space.domains) - names)
        drawn = model.draw(stream, CANDIDATES)
        points = [self._walked({**point, **kept}, stream) for point in drawn]
        best = self._best(points, model)
        if best is None:
            return None
        return best, {**self._notes("beginning", rank, base), "at": later[0].start}

    def _drawn(self, stream: np.random.Generator) -> Point | None:
        """The model's likeliest of some points."""
        best = self._best(self.model.draw(stream, CANDIDATES), self.model)
        return None if best is None else (best, {"kind": "drawn"})

    def _random(self, attempt: int) -> Point:
        """A random point; a new one if one is come upon."""
        found: dict[str, Scalar] = {}
        for draw in range(CANDIDATES):
            seed = digest(self._seed, attempt, draw)
            found = dict(Random().point(self._space, seed, self._task.trial))
            if self._is_new(found):
                break
        return found, {"kind": "random"}

    # What they are made of

    @property
    def model(self) -> TreeParzen:
        """The model of all that is known."""
        if self._model is None:
            self._model = TreeParzen(self._space, self.data, self.pending)
        return self._model

    def _base(self, stream: np.random.Generator) -> tuple[int, PastTrial]:
        """One of the best trials, and its place among those that have come to their end, from 0."""
        rank = int(stream.random() * max(2, int(BASES * len(self.ended))))
        return rank, self.ended[rank]

    def _notes(self, kind: str, rank: int, base: PastTrial) -> dict[str, Any]:
        return {"kind": kind, "base": base.trial, "rank": rank + 1, "of": len(self.ended)}

    def _later(self, base: PastTrial) -> list[Phase]:
        """The phases of a trial but for the first."""
        steps = self._task.spec.max_steps_of(base.assignment)
        return [phase for phase in phases(self._space, base.assignment, steps) if phase.start > 0]

    def _moved(self, base: Assignment, kept: Assignment, stream: np.random.Generator) -> dict[str, Scalar]:
        """A point near another one, with some values of its own."""

        def decide(domain: Domain) -> Scalar:
            name = name_of(domain)
            if name in kept:
                return kept[name]
            if name not in base:
                return domain.draw(stream.random())
            if isinstance(domain, Choice):
                return domain.draw(stream.random()) if stream.random() < REDRAWN else base[name]
            at = place(domain, base[name]) + SPREAD * float(stream.standard_normal())
            return value(domain, min(max(at, 0.0), 1.0))

        return self._space.decide(decide)

    def _walked(self, drawn: Assignment, stream: np.random.Generator) -> dict[str, Scalar]:
        """A point with these draws where it comes to them, and even ones for domains that no draw is known of."""
        return self._space.decide(
            lambda domain: (
                drawn[name_of(domain)] if name_of(domain) in drawn else domain.draw(stream.random())
            )
        )

    def _best(self, points: Sequence[dict[str, Scalar]], model: TreeParzen) -> dict[str, Scalar] | None:
        """Of the points that are new and satisfy the constraints, that with the largest l / g."""
        found = [point for point in points if self._is_new(point)]
        return found[int(model.score(found).argmax())] if found else None

    def _is_new(self, point: Assignment) -> bool:
        return self._space.satisfied(point) and _key(point) not in self._tried

    def _rank(self, past: PastTrial) -> tuple[float, ...] | None:
        """What a trial has come to: the further and the better, the less; None: nothing is known of it."""
        if past.state is TrialState.DIVERGED:
            return (math.inf,)
        if not past.values:
            return None
        step = max(past.values)
        return -float(step), *self._task.spec.worth(past.values[step])

    def _is_stale(self) -> bool:
        """Whether the latest trials have all gone where others had been."""
        latest = self._task.history[-STALE:]
        return len(latest) == STALE and not any(self._had_a_step(past) for past in reversed(latest))

    def _had_a_step(self, past: PastTrial) -> bool:
        """Whether a trial came to a step, or may come to one, that nobody before it had trained."""
        if past.state is TrialState.WAITING or not past.assignment:
            return True
        reached = max([*past.values, past.reached])
        firsts = first_steps(self._space, past.assignment)
        return all(
            min(_shared(past.assignment, firsts, other.assignment), max([*other.values, other.reached]))
            < reached
            for other in self._task.history[: past.trial]
        )


def _shared(point: Assignment, firsts: Mapping[str, int], other: Assignment) -> float:
    """Up to which step the paths of two points are equal at least, given the first steps of the one's draws."""
    if not other:
        return 0
    return min(
        (step for name, step in firsts.items() if name not in other or other[name] != point[name]),
        default=math.inf,
    )


def _key(point: Assignment) -> str:
    return canonical_json(dict(point))
