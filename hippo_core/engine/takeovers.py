"""Slots that go from one user to another while paths run: see ``hippo_core.engine.turns`` for the rule.

A path that is cut saves at its next step and goes on from there when it is its user's turn again: no step is trained
twice for that. Of a user's paths the one with least left yields, as among paths of one user. One that ends soon anyway
is left alone.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator

from hippo_core.engine.courses import margin, waiting_priority
from hippo_core.engine.decision import Decision
from hippo_core.engine.environments import suits, takers
from hippo_core.engine.events import LeaseStopped
from hippo_core.engine.state import PlanState
from hippo_core.engine.turns import Owner, Turns, owner_of
from hippo_core.lease import Lease
from hippo_core.stage_ranges import Candidate

Waiting = tuple[int, Candidate, PlanState]
"""Priority, a ready range and its plan."""


def take_over(decision: Decision, turns: Turns, held: Container[int]) -> float:
    """Cuts paths of users whose turn it is less than that of others who wait; they go on when slots are free.

    Args:
        decision: No slot is free that could be granted.
        turns: As of now.
        held: Plans of which no path may begin.

    Returns:
        When the next one may have to be cut, by the driver's time; infinite: as things are, never.
    """
    if turns.alone:
        return math.inf
    waiting = {owner: ranges for owner in turns.owners if (ranges := _ready(decision, turns, owner, held))}
    _give_what_becomes_free(decision, turns, waiting)
    soonest = math.inf
    while waiting:
        for owner in _in_order(turns, waiting):
            found, due = _yielding(decision, turns, owner, waiting[owner][0])
            soonest = min(soonest, due)
            if found is not None:
                project, user = owner
                reason = f"yields its slot to {user}, whose turn it is"
                if project != owner_of(decision.state, found)[0]:
                    reason = "yields its slot to another project, whose turn it is"
                decision.emit(LeaseStopped(fence=found.fence, save=True, reason=reason))
                turns.count(owner_of(decision.state, found), -1)
                _give(turns, waiting, owner)
                break
        else:
            return soonest
    return soonest


def _ready(decision: Decision, turns: Turns, owner: Owner, held: Container[int]) -> list[Waiting]:
    """What an owner could begin, in the order in which it would be granted: at most one more than slots are in use."""
    project, user = owner
    if not turns.may_take(owner):
        return []
    found: list[Waiting] = []
    for plan in decision.state.plans.values():
        if plan.project != project or plan.id in held:
            continue
        ready = plan.tree.first_ready(turns.in_use + 1, user)
        found += [(candidate.priority, candidate, plan) for candidate in ready]
    found.sort(key=lambda each: (-each[0], -each[1].length))
    return found[: turns.in_use + 1]


def _in_order(turns: Turns, waiting: dict[Owner, list[Waiting]]) -> list[Owner]:
    """Whose turn it is, first to last."""
    return sorted(waiting, key=lambda owner: (-waiting[owner][0][0], turns.turn(owner), owner))


def _give(turns: Turns, waiting: dict[Owner, list[Waiting]], owner: Owner) -> None:
    """One of what an owner waits for has its slot."""
    turns.count(owner, 1)
    waiting[owner].pop(0)
    if not waiting[owner] or not turns.may_take(owner):
        del waiting[owner]


def _give_what_becomes_free(decision: Decision, turns: Turns, waiting: dict[Owner, list[Waiting]]) -> None:
    """Paths that were told to end leave their slots to those whose turn it is."""
    for lease in decision.state.leases.values():
        if waiting and lease.stopping and decision.state.is_first(lease):
            _give(turns, waiting, _in_order(turns, waiting)[0])


def _yielding(decision: Decision, turns: Turns, owner: Owner, wanted: Waiting) -> tuple[Lease | None, float]:
    """The path that yields its slot to an owner; or None, and when one may have to."""
    priority, _, plan = wanted
    best: tuple[float, ...] | None = None
    found, soonest = None, math.inf
    for lease, left in _running(decision, plan):
        other = owner_of(decision.state, lease)
        if other == owner or waiting_priority(decision.state, lease) > priority:
            continue
        lag = turns.lag(owner, other)
        if lag > 0:
            soonest = min(soonest, decision.now + turns.claim_in(owner, other))
        elif best is None or (lag, left, lease.fence) < best:
            best, found = (lag, left, lease.fence), lease
    return found, soonest


def _running(decision: Decision, plan: PlanState) -> Iterator[tuple[Lease, float]]:
    """Paths whose slots could train a plan, each with the seconds that it is expected to take yet."""
    state, volatile = decision.state, decision.volatile
    taking = {worker.name: worker for worker in takers(state)}
    for lease in state.leases.values():
        if not state.is_first(lease) or lease.stopping or lease.plan in volatile.full:
            continue
        worker = taking.get(lease.worker)
        tree = state.plans[lease.plan].tree
        # Before a step is measured nobody knows how long a path is; without space a cut could not save.
        if worker is None or worker.slots[lease.slot].cordoned or not tree.costs.seconds:
            continue
        left = volatile.courses[lease.worker, lease.slot].ends - decision.now
        if left > margin(decision, lease.plan) and suits(state, plan, worker, worker.slots[lease.slot]):
            yield lease, left
