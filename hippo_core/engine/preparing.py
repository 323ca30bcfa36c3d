"""Which idle slots are made ready for paths that cannot begin yet, since the state that they start from is to come.

What a path in training has promised to save is where others will begin. A slot that idles meanwhile, and keeps nothing
that anybody may go on from, has its runner and its trainer made for one of them, so that it trains as soon as the state
is there. As many are as paths will begin, those that idle slots have a trainer for already left out.

It is no decision: nothing is recorded, a slot that is made ready idles as before, and is granted whatever comes first.
What it was made ready for stays, whatever comes that would go before. Where no more paths are to come than other slots
are ready for, it stays until the slot is of use to others, or no study of the plan runs.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hippo_core.engine import events as ev
from hippo_core.engine.alone import is_alone
from hippo_core.engine.decision import Decision, Preparations
from hippo_core.engine.environments import idle_slots, suits
from hippo_core.engine.granting import held_plans
from hippo_core.engine.orders import preparation, setup_of
from hippo_core.engine.state import EngineState, PlanState, Slot, Worker
from hippo_core.engine.turns import NOBODY_ELSE, Owner, Turns, owner_of
from hippo_core.lease import PENDING_PROMISES, Lease
from hippo_core.program import Resources
from hippo_core.sequence import Laws

_WITHOUT_CONSEQUENCE = frozenset(
    {
        ev.StepsTrained,
        ev.MetricsRecorded,
        ev.ReportAccepted,
        ev.StudyRan,
        ev.StudyCredited,
        ev.CheckpointDropped,
        ev.CheckpointPinned,
        ev.CheckpointUnpinned,
        ev.ProposalWanted,
        ev.JudgementWanted,
    }
)
"""What happens all the time, and changes nothing of what idles and of what is to come."""


def prepare(decision: Decision) -> None:
    """Brings what slots are made ready for in line with what a command has changed.

    None are while a path is to train alone on its host: memory is short there.
    """
    state, volatile = decision.state, decision.volatile
    if all(type(event) in _WITHOUT_CONSEQUENCE for event in decision.events):
        return
    before = volatile.prepared
    if not before and not state.idle:
        return
    volatile.prepared = after = {} if _one_is_to_be_alone(state) else _prepared(decision, before)
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            volatile.reordered[name] = None


def _one_is_to_be_alone(state: EngineState) -> bool:
    """Whether a path trains alone on its host, or somebody needs one that is to; failures outlast their studies."""
    return bool(state.cramped) and (
        any(state.nodes[number].outlook is not None for number in state.cramped)
        or any(is_alone(state, lease.stages[lease.index :]) for lease in state.leases.values())
    )


@dataclass(slots=True)
class _Coming:
    """Paths that will begin at states that a path in training has yet to save.

    Attributes:
        lease: That path's.
        plan: Its plan.
        owner: Whose they are.
        count: How many.
    """

    lease: Lease
    plan: PlanState
    owner: Owner
    count: int


def _prepared(decision: Decision, before: Preparations) -> Preparations:
    state = decision.state
    bare, trained = _idle(state)
    if not bare:
        return {}
    held = held_plans(state, decision.volatile)
    coming = [
        each for each in _coming(decision, len(bare) + sum(trained.values())) if each.plan.id not in held
    ]
    if not (coming or before):
        return {}
    turns = Turns(decision)
    _leave_out(coming, trained, turns)
    after, left = _kept(state, bare, before, coming, turns)
    slots = _Slots(state, left)
    for each in _in_turn(state, turns, coming):
        place = slots.take(each.plan)
        if place is not None:
            worker, slot = place
            order = preparation(state, each.lease, slot.index, decision.settings.stall_seconds)
            after.setdefault(worker.name, {})[slot.index] = order
        if not slots.left:
            break
    for worker, slot in slots.rest():
        former = before.get(worker.name, {}).get(slot.index)
        if former is not None and _runs(state, former.plan):
            after.setdefault(worker.name, {})[slot.index] = former
    return after


def _runs(state: EngineState, plan: int) -> bool:
    """Whether a study of a plan goes on, be it that it waits for proposals, and nothing of it is left to train."""
    return plan in state.plans and any(study in state.active for study in state.plans[plan].studies)


def _idle(state: EngineState) -> tuple[list[tuple[Worker, Slot]], dict[int, int]]:
    """The idle slots that keep nothing of use; and how many of the others have trained a plan, by plan."""
    bare: list[tuple[Worker, Slot]] = []
    trained: dict[int, int] = {}
    over: dict[int, bool] = {}
    for worker, slot in idle_slots(state):
        if slot.holds is None:
            bare.append((worker, slot))
            continue
        number = state.nodes[slot.holds[0]].plan
        if number not in over:
            over[number] = not _runs(state, number)
        if over[number]:
            bare.append((worker, slot))
        else:
            trained[number] = trained.get(number, 0) + 1
    return bare, trained


def _coming(decision: Decision, most: int) -> Iterator[_Coming]:
    """What will begin at states that are still to be saved, but for what a path's own slot goes on with."""
    state = decision.state
    for lease in state.leases.values():
        if lease.stopping:
            continue
        plan = state.plans[lease.plan]
        count = lease.followers
        if count is None or plan.tree.blocked:
            count = count_followers(state, lease)
            lease.followers = None if plan.tree.blocked else count
        if count:
            yield _Coming(lease, plan, owner_of(state, lease), min(count, most))


def count_followers(state: EngineState, lease: Lease) -> int:
    """How many paths will begin at states that a lease has yet to save, but for what its own slot goes on with."""
    tree, count = state.plans[lease.plan].tree, 0
    for promised, promise in lease.promises.items():
        # What begins at a state that is saved waits for something else.
        if promise in PENDING_PROMISES and promised[1] not in state.nodes[promised[0]].checkpoints:
            begin = tree.count_from(promised)
            count += begin - bool(begin and lease.training and promised == lease.end)
    return count


def _leave_out(coming: Iterable[_Coming], trained: dict[int, int], turns: Turns) -> None:
    """Leaves out the paths that slots which have trained their plans will be given."""
    for each in coming:
        ready = min(each.count, trained.get(each.plan.id, 0))
        if ready:
            trained[each.plan.id] -= ready
            each.count -= ready
            turns.count(each.owner, ready)


def _kept(
    state: EngineState,
    bare: list[tuple[Worker, Slot]],
    before: Preparations,
    coming: list[_Coming],
    turns: Turns,
) -> tuple[Preparations, list[tuple[Worker, Slot]]]:
    """What slots are made ready for as before, and the slots for which something is to be found."""
    after: Preparations = {}
    left: list[tuple[Worker, Slot]] = []
    # By plan and what their trainers are made with: seeds and values may differ.
    alike: dict[tuple[int, str, Laws], deque[_Coming]] = {}
    ready = {order.plan for orders in before.values() for order in orders.values()}
    for each in coming:
        if each.count and each.plan.id in ready:
            alike.setdefault((each.plan.id, *setup_of(state, each.lease)), deque()).append(each)
    divided = turns.limits or not turns.alone
    for place in bare:
        worker, slot = place
        orders = before.get(worker.name)
        order = None if orders is None else orders.get(slot.index)
        waiting = None if order is None else alike.get((order.plan, order.program_key, order.setup_laws))
        while waiting and not waiting[0].count:
            waiting.popleft()
        for each in waiting or ():
            if not each.count or (divided and not turns.may_take(each.owner)):
                continue
            assert order is not None
            each.count -= 1
            if divided:
                turns.count(each.owner, 1)
            after.setdefault(worker.name, {})[slot.index] = order
            break
        else:
            left.append(place)
    return after, left


def _in_turn(state: EngineState, turns: Turns, coming: list[_Coming]) -> Iterator[_Coming]:
    """Path after path by priority, then by whose turn it is; what is given meanwhile counts."""

    def rank(each: _Coming) -> tuple[int, float, float]:
        turn = NOBODY_ELSE if turns.alone else turns.turn(each.owner)
        return (-state.active.get(each.lease.study, 0), *turn)

    queue = [(rank(each), number) for number, each in enumerate(coming) if each.count]
    heapq.heapify(queue)
    while queue:
        _, number = heapq.heappop(queue)
        each = coming[number]
        now = (rank(each), number)
        if queue and now > queue[0]:  # its owner has been given others
            heapq.heappush(queue, now)
        elif turns.may_take(each.owner):
            each.count -= 1
            turns.count(each.owner, 1)
            yield each
            if each.count:
                heapq.heappush(queue, (rank(each), number))


class _Slots:
    """Slots for which something is to be found, each of which is taken once."""

    def __init__(self, state: EngineState, slots: list[tuple[Worker, Slot]]) -> None:
        self._state = state
        self._slots = slots
        self._fitting: dict[tuple[Resources, str], Iterator[tuple[Worker, Slot]]] = {}
        self._taken: set[tuple[str, int]] = set()

    @property
    def left(self) -> int:
        """How many are not taken."""
        return len(self._slots) - len(self._taken)

    def rest(self) -> Iterator[tuple[Worker, Slot]]:
        """Those that are not."""
        return (each for each in self._slots if (each[0].name, each[1].index) not in self._taken)

    def take(self, plan: PlanState) -> tuple[Worker, Slot] | None:
        """The first one that suits a plan; None: there is none."""
        state = self._state
        if not plan.studies:
            return None
        needs = state.studies[next(iter(plan.studies))].spec.program.resources, plan.environment
        fitting = self._fitting.get(needs)
        if fitting is None:  # all plans with the same needs look at each slot once
            fitting = self._fitting[needs] = iter([each for each in self._slots if suits(state, plan, *each)])
        for worker, slot in fitting:
            if (worker.name, slot.index) not in self._taken:
                self._taken.add((worker.name, slot.index))
                return worker, slot
        return None
