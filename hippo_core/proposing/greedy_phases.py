"""Greedy phases: for which lineage and phase the next candidate is, and what is drawn for it.

A lineage is one schedule in the making. For its first phase there are ``candidates`` trials; the best of them, at the
step at which they are judged, goes on: the candidates for the next phase have its draws for all phases before. So on
through the phases (``hippo_core.policies.greedy_phases``). The next candidate is for the oldest lineage that can have
one. One whose candidates are all given out waits for those that are under way; where all lineages wait, or are over,
another begins, so that no slot idles.

Of a phase's values the first few in all lineages together are drawn evenly; then the model of all candidates for that
phase (``parzen``), over all that is drawn up to there, says which of several draws is the likeliest to be good, given
what is decided already. Those under way are among the others in it. For later phases is drawn evenly: that acts nowhere
before others are decided on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from hippo_core.drawing import name_of
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.phases import phases
from hippo_core.policies.greedy_phases import GreedyPhasesSpec
from hippo_core.policies.policy import Worth
from hippo_core.proposing.draws import Point, generator
from hippo_core.proposing.parzen import TreeParzen
from hippo_core.space import Assignment
from hippo_core.values import Scalar

FIRST = 4
"""How many candidates for a phase are drawn evenly, before there is a model."""

DRAWS = 24
"""How many draws the model chooses from."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the next candidate is for."""

    lineage: int
    phase: int
    base: PastTrial | None  #: on whose way


@dataclass(slots=True)
class Round:
    """The candidates of a lineage for a phase."""

    base: int | None
    members: list[PastTrial] = field(default_factory=list)


def proposals(task: ProposalTask) -> Iterator[Point]:
    """The candidates for a trial, one after the other, as long as none can be trained."""
    policy = task.spec.policy
    assert isinstance(policy, GreedyPhasesSpec)
    place = next_place(task, policy.candidates)
    for attempt in count():
        yield _candidate(task, policy, place, attempt)


def next_place(task: ProposalTask, candidates: int) -> Place:
    """What the next candidate is for."""
    lineages: dict[int, list[Round]] = {}
    for past in task.history:
        if "lineage" in past.notes:
            rounds = lineages.setdefault(past.notes["lineage"], [])
            if past.notes["phase"] == len(rounds):
                rounds.append(Round(past.notes["base"]))
            rounds[past.notes["phase"]].members.append(past)
    for number in sorted(lineages):
        rounds = lineages[number]
        last = rounds[-1]
        if len(last.members) < candidates:
            return Place(number, len(rounds) - 1, None if last.base is None else task.history[last.base])
        if any(past.state is TrialState.WAITING and not _is_judged(past) for past in last.members):
            continue
        values = [(value, past) for past in last.members if (value := judged(task, past)) is not None]
        if values:
            best = min(values, key=lambda each: (each[0], each[1].trial))[1]
            if not best.notes["last"]:
                return Place(number, len(rounds), best)
    return Place(max(lineages, default=-1) + 1, 0, None)


def judged(task: ProposalTask, past: PastTrial) -> Worth | None:
    """What a candidate came to where it was judged, less being better; None: it has no value there."""
    values = past.values.get(past.notes["step"])
    return None if values is None else task.spec.worth(values)


def _is_judged(past: PastTrial) -> bool:
    return past.notes["step"] in past.values


def _candidate(task: ProposalTask, policy: GreedyPhasesSpec, place: Place, attempt: int) -> Point:
    spec = task.spec
    assert spec.limit is not None
    every = spec.program.evaluate_every
    stream = generator("greedy_phases", spec.program.seed, task.trial, attempt)

    def drawn_evenly(kept: Assignment) -> dict[str, Scalar]:
        return spec.space.decide(
            lambda domain: (
                kept[name_of(domain)] if name_of(domain) in kept else domain.draw(float(stream.random()))
            )
        )

    base = place.base.assignment if place.base is not None else drawn_evenly({})
    before = {
        name for phase in phases(spec.space, base, spec.limit, every)[: place.phase] for name in phase.names
    }
    kept = {name: value for name, value in base.items() if name in before}
    point = _likeliest(task, place.phase, kept, stream) or drawn_evenly(kept)
    found = phases(spec.space, point, spec.limit, every)
    number = min(place.phase, len(found) - 1)
    notes: dict[str, Any] = {
        "lineage": place.lineage,
        "phase": place.phase,
        "base": None if place.base is None else place.base.trial,
        "start": found[number].start,
        "step": policy.judged_at(found, number, spec.limit, every),
        "last": number == len(found) - 1,
    }
    return point, notes


def _likeliest(
    task: ProposalTask, phase: int, kept: Assignment, stream: np.random.Generator
) -> dict[str, Scalar] | None:
    """The draw that the model of a phase's candidates prefers; None: there are too few of them."""
    spec = task.spec
    assert spec.limit is not None
    there = [past for past in task.history if past.notes.get("phase") == phase and past.assignment]
    data = [(past.assignment, value) for past in there if (value := judged(task, past)) is not None]
    if len(data) < FIRST:
        return None
    pending = [past.assignment for past in there if past.state is TrialState.WAITING and not _is_judged(past)]
    names = {
        name
        for past in there
        for each in phases(spec.space, past.assignment, spec.limit, spec.program.evaluate_every)[: phase + 1]
        for name in each.names
    }
    model = TreeParzen(spec.space, data, pending, names)
    drawn = [point for point in model.draw(stream, DRAWS, kept) if spec.space.satisfied(point)]
    return drawn[int(np.argmax(model.score(drawn)))] if drawn else None
