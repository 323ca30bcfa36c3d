"""DEHB: differential evolution, with a subpopulation for each rung, within the brackets of Hyperband.

After N. Awad, N. Mallik, F. Hutter, "DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient Hyperparameter
Optimization" (IJCAI 2021, arXiv 2105.09821), sections 3 and 4. Their symbols: F is ``mutation``, p is ``crossover``, b
is a rung of the ladder, eta is ``reduction_factor``; DE is rand/1/bin. Points are vectors in [0, 1]**D: an int or an
option stands for a part of a stretch, and evolution does not round.

- Each rung has a subpopulation of as many members as the largest bracket evaluates there, random and not evaluated
  at first. New points compete with its members in turn, and take the place of those that are not better.
- The first rung of the first bracket evaluates its members. In the first turn of the brackets each further rung
  evaluates the best members of the rung below that were not tried on it, unchanged, as successive halving does.
- Else points evolve: the parents of the first rung's are of its own subpopulation, those of a further rung's are the
  best of the rung below, as many as it evaluates itself; where there are fewer than three, others of any rung beside
  them. What leaves [0, 1] is drawn again.
- In a finite space what is a trial on a rung already, or above it, does not evolve again while others are left: after
  some copies a random one of those comes. With none left a rung's places are filled with copies, which train nothing,
  until all points are trained to the end.
- Evaluations run side by side (section 4.3): a bracket's rung waits until the one below has ended; until then the next
  bracket goes on or begins. A result takes its place at once, in whatever order results come.

Nothing is kept but what is noted with each trial: its place in the brackets, its vector and, for people to read, from
whom it came. The subpopulations are
made anew from all trials, in the order of their numbers; so of equals the later trial's is the member. Where it departs
from the paper: the ladder is Hippo's, from ``min_steps`` upwards. A trial that diverged or failed takes no place.
Domains that only some points have keep their part of the vector. Trials that a person added take the places of the
first bracket's first rung while there are any.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from hippo_core.chance import uniform
from hippo_core.domains import Domain
from hippo_core.drawing import name_of
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.policies import DehbSpec
from hippo_core.policies.dehb_brackets import DehbBrackets, Job
from hippo_core.policies.policy import Worth
from hippo_core.proposing.draws import Point, generator
from hippo_core.proposing.places import place, value
from hippo_core.space import Assignment

Vector = tuple[float, ...]
Originated = tuple[Vector, dict[str, Any]]
"""A vector, and what is noted of whom it came from: trials by their numbers among those drawn."""

PARENTS = 3

COPIES = 30
"""After so many copies in a row of what was tried in a finite space, what is left of it is listed."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of a subpopulation."""

    vector: Vector
    cost: Worth | None = None  #: None: not evaluated
    trial: int | None = None  #: whose it is, by its number among those drawn; None: nobody's, it is random


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A trial as evolution sees it."""

    trial: int  #: its number among those drawn
    job: Job | None  #: None: beside the brackets
    level: int
    vector: Vector
    cost: Worth | None  #: None: not known, yet or ever
    pending: bool


def proposals(task: ProposalTask) -> Iterator[Point]:
    """The points that DEHB proposes for a trial, one after the other, as long as none can be trained.

    None where the space is finite and all its points are trials to the end.
    """
    evolution = Evolution(task)
    job = evolution.next_job()
    level = evolution.brackets.level(job)
    step = evolution.brackets.ladder[level]
    tried, copies = evolution.tried(level), 0
    for attempt in count():
        promoted = None if attempt else evolution.promoted(job)
        vector, origin = evolution.vector(job, attempt) if promoted is None else promoted
        places = dict(zip(evolution.names, vector, strict=True))

        def decide(domain: Domain, places: dict[str, float] = places) -> Any:
            return value(domain, places[name_of(domain)])

        notes = {"bracket": job.bracket, "rung": job.rung, "step": step, "vector": list(vector)}
        point = task.spec.space.decide(decide)
        if tried and promoted is None and task.spec.identity(point) in tried:
            copies += 1
            if copies < COPIES:
                continue
            left = evolution.left(tried)
            if left:
                point = left[int(uniform(task.spec.program.seed, task.trial, attempt, "left") * len(left))]
                notes["vector"], origin = list(evolution.placed(task.trial, point)), {}
            elif not evolution.left(evolution.tried(len(evolution.brackets.ladder) - 1)):
                return
        yield point, {**notes, **origin}


class Evolution:
    """The subpopulations and brackets after a history.

    Args:
        task: The history.

    Attributes:
        brackets: How many points are evaluated where.
        names: The domains, in the order of a vector.
        evaluations: The trials so far.
        members: The subpopulations, by level.
    """

    def __init__(self, task: ProposalTask) -> None:
        spec, policy = task.spec, task.spec.policy
        assert isinstance(policy, DehbSpec)
        assert isinstance(spec.max_steps, int)
        self.brackets: DehbBrackets = policy.brackets(spec.max_steps, spec.program.evaluate_every)
        self.names = sorted(spec.space.domains)
        self._policy = policy
        self._task = task
        self._seed = spec.program.seed
        self.evaluations = self._evaluations()
        levels = range(len(self.brackets.ladder))
        self.members = [self._subpopulation(level) for level in levels]

    def tried(self, level: int) -> set[Hashable]:
        """What stands for the points that are trials on a level, or above it; none where the space is not finite."""
        spec, step = self._task.spec, self.brackets.ladder[level]
        if spec.space.unlistable() is not None:
            return set()
        return {
            spec.identity(past.assignment)
            for past in self._task.history
            if past.notes.get("step", step) >= step and (past.assignment or not self.names)
        }

    def left(self, tried: Container[Hashable]) -> list[dict[str, Any]]:
        """The points of a finite space that were not tried."""
        identity = self._task.spec.identity
        return [dict(each) for each in self._task.spec.space.assignments() if identity(each) not in tried]

    def next_job(self) -> Job:
        """The first job that waits for nothing, of the first bracket that has one."""
        issued: dict[Job, int] = {}
        pending: dict[Job, int] = {}
        begun = 0
        for each in self.evaluations:
            if each.job is not None:
                issued[each.job] = issued.get(each.job, 0) + 1
                pending[each.job] = pending.get(each.job, 0) + each.pending
                begun = max(begun, each.job.bracket + 1)
        for bracket in range(begun):
            waits = False  # for the rung below
            for rung, size in enumerate(self.brackets.sizes(bracket)):
                job = Job(bracket, rung)
                is_free = issued.get(job, 0) < size
                if is_free and not waits:
                    return job
                waits = is_free or pending.get(job, 0) > 0
        return Job(begun, 0)

    def promoted(self, job: Job) -> Originated | None:
        """In the first turn of the brackets, the best member of the rung below that was not tried on a job's rung."""
        if job.bracket >= len(self.brackets.ladder) or not job.rung:
            return None
        level = self.brackets.level(job)
        tried = {each.vector for each in self.evaluations if each.level == level}
        below = self.members[level - 1]
        ranked = (below[index] for index in self._best(level - 1))
        best = next((each for each in ranked if each.vector not in tried), None)
        return None if best is None else (best.vector, {"promoted": best.trial})

    def vector(self, job: Job, attempt: int) -> Originated:
        """A new vector for a job.

        Args:
            job: The job.
            attempt: Counts those before, which cannot be trained.
        """
        level = self.brackets.level(job)
        target = sum(each.level == level for each in self.evaluations) % len(self.members[level])
        if job == Job(0, 0):
            return (self._random(0, target, attempt) if attempt else self.members[0][target].vector), {}
        return self._evolved(job, target, attempt)

    def _evolved(self, job: Job, target: int, attempt: int) -> Originated:
        """Mutation (rand/1) and binomial crossover, section 3."""
        level = self.brackets.level(job)
        stream = generator(self._seed, self._task.trial, attempt, "evolution")
        pool = self.pool(job, target)
        if len(pool) < PARENTS:
            others = [each for each in self._everybody() if each not in pool and each != (level, target)]
            missing = PARENTS - len(pool)
            pool = [*pool, *(others[index] for index in stream.choice(len(others), missing, replace=False))]
        chosen = [pool[index] for index in stream.choice(len(pool), PARENTS, replace=False)]
        parents = [self.members[where][index] for where, index in chosen]
        one, two, three = (each.vector for each in parents)
        member = self.members[level][target]
        origin = {"parents": [each.trial for each in parents], "target": member.trial}
        return self._crossed(member.vector, one, two, three, stream), origin

    def pool(self, job: Job, target: int) -> list[tuple[int, int]]:
        """The parents for a job, as level and index: of its own rung, or the best of the rung below."""
        level = self.brackets.level(job)
        if not job.rung:
            return [(level, index) for index in range(len(self.members[level])) if index != target]
        most = self.brackets.sizes(job.bracket)[job.rung]
        return [(level - 1, index) for index in self._best(level - 1)[:most]]

    def _crossed(
        self, target: Vector, one: Vector, two: Vector, three: Vector, stream: np.random.Generator
    ) -> Vector:
        if not target:
            return ()
        surely = int(stream.random() * len(target))
        found = []
        for index, (old, a, b, c) in enumerate(zip(target, one, two, three, strict=True)):
            mutated = a + self._policy.mutation * (b - c)
            inside = stream.random()  # drawn in any case, so that values do not depend on others' bounds
            taken = stream.random() < self._policy.crossover or index == surely
            if not 0.0 <= mutated <= 1.0:
                mutated = inside
            found.append(mutated if taken else old)
        return tuple(found)

    def _best(self, level: int) -> list[int]:
        """The members that were evaluated, by index, the best first; of equals, the first in turn."""
        known = [
            (each.cost, index) for index, each in enumerate(self.members[level]) if each.cost is not None
        ]
        return [index for _, index in sorted(known)]

    def _everybody(self) -> list[tuple[int, int]]:
        return [(level, index) for level, group in enumerate(self.members) for index in range(len(group))]

    def _subpopulation(self, level: int) -> list[Member]:
        size = self.brackets.population(level)
        found = [Member(self._random(level, index, 0)) for index in range(size)]
        at_level = [each for each in self.evaluations if each.level == level]
        for turn, each in enumerate(at_level):
            before = found[turn % size].cost
            if each.cost is not None and (before is None or each.cost <= before):
                found[turn % size] = Member(each.vector, each.cost, each.trial)
        return found

    def _random(self, level: int, index: int, attempt: int) -> Vector:
        return tuple(uniform(self._seed, level, index, attempt, name) for name in self.names)

    def _evaluations(self) -> list[Evaluation]:
        room = self.brackets.sizes(0)[0]
        room -= sum(1 for past in self._task.history if past.notes and _job(past) == Job(0, 0))
        found = []
        for past in self._task.history:
            job = _job(past) if past.notes else Job(0, 0) if room > 0 else None
            room -= not past.notes
            found.append(self._evaluation(past, job))
        return found

    def _evaluation(self, past: PastTrial, job: Job | None) -> Evaluation:
        level = 0 if job is None else self.brackets.level(job)
        values = past.values.get(self.brackets.ladder[level])
        return Evaluation(
            trial=past.trial,
            job=job,
            level=level,
            vector=tuple(past.notes["vector"]) if past.notes else self.placed(past.trial, past.assignment),
            cost=None if values is None else self._task.spec.worth(values),
            pending=values is None and past.state is TrialState.WAITING,
        )

    def placed(self, trial: int, point: Assignment) -> Vector:
        """The vector of a point that did not evolve, as a person's; what it lacks is random."""
        domains = self._task.spec.space.domains
        return tuple(
            place(domains[name], point[name]) if name in point else uniform(self._seed, "given", trial, name)
            for name in self.names
        )


def _job(past: PastTrial) -> Job:
    return Job(past.notes["bracket"], past.notes["rung"])
