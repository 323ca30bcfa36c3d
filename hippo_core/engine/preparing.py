"""Which idle slots are made ready for paths that cannot begin yet, since the state that they start from is to come.

What a path in training has promised to save is where others will begin. A slot that idles meanwhile, and has nothing
in memory that anybody may go on from, has its runner and its trainer made for one of them, so that it trains as soon
as the state is there. Paths are taken in the order in which they would be granted, and so are slots.

It is no decision: nothing is recorded, a slot that is made ready idles as before, and is granted whatever comes first.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterator
from dataclasses import dataclass

from hippo_core.engine.decision import Decision
from hippo_core.engine.environments import idle_slots, suits
from hippo_core.engine.granting import held_plans, place_in, study_of
from hippo_core.engine.orders import trained_program
from hippo_core.engine.state import EngineState, PlanState, Slot
from hippo_core.engine.turns import NOBODY_ELSE, Turns
from hippo_core.lease_order import PrepareOrder
from hippo_core.repeats import hyperparameter_laws
from hippo_core.stage_ranges import Candidate

Preparations = dict[tuple[str, int], PrepareOrder]
"""By worker and slot."""


Rank = tuple[int, float, float, float]
"""The least is granted first: priority and length, both negative, and between them whose turn it is."""


@dataclass(frozen=True, slots=True)
class _Coming:
    """Paths of one kind that will begin at a state."""

    plan: PlanState
    candidate: Candidate
    count: int


def may_prepare(state: EngineState, name: str) -> bool:
    """Whether a worker has an idle slot that loses nothing by being made ready for something."""
    worker = state.workers.get(name)
    return worker is not None and any(slot.idle and _is_bare(state, slot) for slot in worker.slots.values())


def preparations(decision: Decision) -> Preparations:
    """What slots are to be made ready for, as things are.

    None are while a path is to train alone on its host: memory is short there.

    Args:
        decision: Nothing is decided.
    """
    state, found = decision.state, Preparations()
    bare = [] if state.cramped else [each for each in idle_slots(state) if _is_bare(state, each[1])]
    if not bare:
        return found
    trained = {lease.plan for lease in state.leases.values()} - held_plans(state, decision.volatile)
    plans = {plan for plan in trained if any(suits(state, state.plans[plan], *each) for each in bare)}
    turns, slots = Turns(decision), _Slots(state)
    for coming, user in _in_turn(turns, [*_coming(state, plans)]):
        place = slots.take(coming.plan)
        if place is None:
            continue
        if user is not None:
            turns.count((coming.plan.project, user), 1)
        name, slot = place
        if _is_bare(state, slot):
            found[name, slot.index] = _order(state, coming, user, slot)
    return found


class _Slots:
    """The idle slots, each of which is taken once."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._idle = [(worker, slot) for worker, slot in idle_slots(state)]
        self._fitting: dict[int, Iterator[tuple[str, Slot]]] = {}  # by plan
        self._taken: set[tuple[str, int]] = set()

    def take(self, plan: PlanState) -> tuple[str, Slot] | None:
        """The one that a path of a plan would be granted to, with its worker; None: there is none."""
        fitting = self._fitting.get(plan.id)
        if fitting is None:
            state = self._state
            those = [(worker.name, slot) for worker, slot in self._idle if suits(state, plan, worker, slot)]
            those.sort(key=lambda each: -place_in(state, plan, each[1]))
            fitting = self._fitting[plan.id] = iter(those)
        for name, slot in fitting:
            if (name, slot.index) not in self._taken:
                self._taken.add((name, slot.index))
                return name, slot
        return None


def _is_bare(state: EngineState, slot: Slot) -> bool:
    """Whether a slot holds no state, or one of a plan of which nothing is left to train."""
    return slot.holds is None or not state.tree_of(state.nodes[slot.holds[0]]).outlooks


def _coming(state: EngineState, plans: Container[int]) -> Iterator[_Coming]:
    """What begins at the states that paths of plans have yet to save, but for what a path's own slot goes on with."""
    for lease in state.leases.values():
        if lease.stopping or lease.plan not in plans:
            continue
        plan = state.plans[lease.plan]
        for promised in lease.pending():
            if promised[1] in state.nodes[promised[0]].checkpoints:
                continue  # what begins there waits for something else
            kinds = sorted(plan.tree.kinds_from(promised), key=lambda kind: -kind[0].length)
            goes_on = lease.training and promised == lease.end
            for place, (candidate, count) in enumerate(kinds):
                yield _Coming(plan, candidate, count - (goes_on and place == 0))


def _in_turn(turns: Turns, coming: list[_Coming]) -> Iterator[tuple[_Coming, str | None]]:
    """Path after path in the order in which they would be granted, and to whom; what is given meanwhile counts."""
    queue = [(ranked[0], number) for number, each in enumerate(coming) if (ranked := _rank(turns, each))]
    heapq.heapify(queue)
    left = [each.count for each in coming]
    while queue:
        _, number = heapq.heappop(queue)
        ranked = _rank(turns, coming[number])
        if ranked is None or not left[number]:
            continue
        if queue and (ranked[0], number) > queue[0]:  # its user has been given others
            heapq.heappush(queue, (ranked[0], number))
            continue
        left[number] -= 1
        yield coming[number], ranked[1]
        heapq.heappush(queue, (ranked[0], number))


def _rank(turns: Turns, coming: _Coming) -> tuple[Rank, str | None] | None:
    """When a path is granted, and to whom; None: nobody who needs it may have a further slot."""
    candidate, plan, best = coming.candidate, coming.plan, None
    for user in turns.users_in(plan):
        turn = NOBODY_ELSE
        if user is not None:
            owner = (plan.project, user)
            if user not in plan.tree.users_of(candidate) or not turns.may_take(owner):
                continue
            turn = turns.turn(owner)
        rank = (-candidate.priority, *turn, -candidate.length)
        if best is None or rank < best[0]:
            best = rank, user
    return best


def _order(state: EngineState, coming: _Coming, user: str | None, slot: Slot) -> PrepareOrder:
    """What a slot is to be made ready for."""
    plan, candidate = coming.plan, coming.candidate
    path = plan.tree.path(candidate.node, candidate.base, user)
    spec = state.studies[study_of(state, plan, path, user)].spec
    setup = state.nodes[candidate.node].root().laws
    program = trained_program(spec, setup)
    return PrepareOrder(
        slot=slot.index,
        plan=plan.id,
        program=program,
        program_key=program.key,
        bundle=spec.bundle,
        setup_laws=hyperparameter_laws(setup),
        secrets=spec.secrets,
    )
