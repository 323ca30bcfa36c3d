"""Which slot runs what next: save points offered to running paths, useless paths stopped, ready paths granted.

Where a ready path finds no slot, ``hippo_core.engine.cutting`` looks for one that is to yield.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from hippo_core.engine.alone import Top, is_alone, room, tops
from hippo_core.engine.courses import note_begun
from hippo_core.engine.cutting import cut_paths
from hippo_core.engine.decision import Decision, Preparations, Volatile
from hippo_core.engine.environments import (
    bind_plan,
    environment_of,
    idle_slots,
    rebind_studies,
    suits,
    takers,
)
from hippo_core.engine.events import LeaseGranted, LeaseStopped, SavePointOffered, StudyPlanned
from hippo_core.engine.growing import growing_plans
from hippo_core.engine.orphans import end_orphans
from hippo_core.engine.state import EngineState, PlanState, Slot, Worker
from hippo_core.engine.states import StudyState
from hippo_core.engine.turns import NOBODY_ELSE, Turn, Turns, begin_turns
from hippo_core.lease import Lease, State
from hippo_core.longest_paths import Path, longest_path
from hippo_core.plan import Node
from hippo_core.stage_ranges import Candidate
from hippo_core.tree import StageTree

PATIENCE_SECONDS = 1.0  #: what waits in a slot is given back when the path before it takes longer
RETURNED = "waits behind another path, and is to go to the next slot that is free"


def schedule(decision: Decision) -> None:
    """Brings leases in line with what is needed now."""
    state = decision.state
    note_begun(decision)
    _return_waiting(decision)
    rebind_studies(decision)
    while state.touched_plans:
        plan = state.plans[next(iter(state.touched_plans))]
        del state.touched_plans[plan.id]
        _bring_in_line(decision, plan)
    begin_turns(decision)
    while True:
        held = held_plans(state, decision.volatile)
        turns = Turns(decision)
        found = list(tops(state, [plan for plan in state.plans.values() if plan.id not in held], turns))
        note_begun(decision)
        choice = _choose(decision, turns, held, found) or _choose_ahead(decision, turns, held, found)
        if choice is None:
            # A path that waits to train alone gains nothing by another slot.
            cut_paths(decision, held.union(top.plan.id for top in found if top.alone))
            return
        path = longest_path(choice.plan.tree, choice.candidate.node, choice.candidate.base)
        if not end_orphans(decision, choice.plan.id, path.stages) and not _grant(decision, choice):
            return
        for number in list(state.touched_plans):
            del state.touched_plans[number]
            _bring_in_line(decision, state.plans[number])


def _bring_in_line(decision: Decision, plan: PlanState) -> None:
    tree = plan.tree
    tree.refresh(decision.now)
    for number in list(tree.offers):
        for fence, step in tree.outlook_of(number).offers:
            if not decision.state.leases[fence].stopping:
                decision.emit(SavePointOffered(fence=fence, node=number, step=step))
    tree.refresh(decision.now)
    astir = {fence: lease for number in tree.astir for fence, lease in tree.leases.get(number, {}).items()}
    tree.astir.clear()
    for _, lease in sorted(astir.items()):
        if lease.training and not lease.stopping and not _needed(plan, lease):
            paused = any(
                decision.state.studies[study].state is StudyState.PAUSED
                and decision.state.studies[study].open
                for study in plan.studies
            )
            reason = "its studies are paused" if paused else "nobody needs its steps any more"
            # What an ending or a user cuts off may be taken up again.
            ended = any(decision.state.studies[study].ending for study in plan.studies)
            decision.emit(
                LeaseStopped(fence=lease.fence, save=paused or ended or decision.keeps, reason=reason)
            )


def _needed(plan: PlanState, lease: Lease) -> bool:
    nodes, needed_beyond = plan.plan.numbered, plan.tree.needed_beyond
    position = lease.step
    for number, _, stop in lease.stages[lease.index :]:
        if needed_beyond(nodes[number], position):
            return True
        position = stop
    return False


class _Holds(IntEnum):
    """Whose state a slot has in memory: what it is set up for, and what it would give up."""

    ANOTHER_PLANS = 0
    NONE = 1
    NONE_BUT_READY = 2  #: it was made ready for the plan (``hippo_core.engine.preparing``)
    THE_PLANS = 3


@dataclass(frozen=True, slots=True)
class _Choice:
    """A range that a slot may take."""

    candidate: Candidate
    plan: PlanState
    worker: Worker
    slot: Slot
    in_memory: bool
    holds: _Holds
    user: str | None  #: whose turn it is; None: there is only one
    turn: Turn

    @property
    def rank(self) -> tuple[int, float, float, float, bool, _Holds]:
        """Priority, whose turn it is, then the longest remaining path.

        At equal cost what goes on in memory, then what the slot is set up for.
        """
        project, user = self.turn
        return self.candidate.priority, -project, -user, self.candidate.length, self.in_memory, self.holds


def held_plans(state: EngineState, volatile: Volatile) -> set[int]:
    """Plans of which no path begins.

    For lack of space to save its states, or since one path tries whether there is; or as trials are still to be
    created, for which what is trained before could have to be trained again.
    """
    full = volatile.full
    trying = {lease.plan for lease in state.leases.values() if lease.plan in full} if full else set()
    return trying.union(volatile.held, growing_plans(state))


def _choose(decision: Decision, turns: Turns, held: Container[int], found: list[Top]) -> _Choice | None:
    """The best that any idle slot can take; the first of equals, in order of worker, slot and plan.

    Slots that are made ready for something come after those that are not.

    Args:
        decision: Nothing is decided.
        turns: As of now.
        held: Plans of which nothing is taken.
        found: The first ready ranges of the others.
    """
    state, prepared = decision.state, decision.volatile.prepared
    if not state.idle:
        return None
    rooms = room(state, found) if state.cramped else None
    best: _Choice | None = None
    # Plans that a slot which holds nothing can take: what another one takes is no better.
    offered: set[int] = set()
    wanted = {top.plan.id for top in found}
    there: Iterable[tuple[Worker, Slot]] = idle_slots(state)
    if prepared and found:
        there = sorted(there, key=lambda place: _ready_for(prepared, *place) is not None)
    ready: set[int] = set()  # plans that a slot which is made ready for them can take: as above
    for worker, slot in there:
        tops_here, ready_for = found, _ready_for(prepared, worker, slot) if prepared else None
        if slot.holds is None or ready_for is not None:
            if rooms is None and offered == wanted:
                if ready_for in ready:
                    continue
                tops_here = [top for top in found if top.plan.id == ready_for] if ready_for in wanted else []
            if not tops_here:
                continue
        elif not found and not _is_gone_on_from(state, slot.holds):
            continue
        for choice in _options(state, turns, tops_here, worker, slot, held, ready_for):
            if slot.holds is None:
                offered.add(choice.plan.id)
            if choice.plan.id == ready_for:
                ready.add(choice.plan.id)
            if best is not None and choice.rank <= best.rank:
                continue
            if rooms is None or rooms.takes(worker.host, alone=_is_alone(state, choice)):
                best = choice
    return best


def _ready_for(prepared: Preparations, worker: Worker, slot: Slot) -> int | None:
    """The plan that a slot is made ready for."""
    order = prepared.get(worker.name, {}).get(slot.index)
    return None if order is None else order.plan


def _is_gone_on_from(state: EngineState, holds: State) -> bool:
    """Whether anything is needed of the node of a state that a slot holds."""
    return state.nodes[holds[0]].outlook is not None


def _choose_ahead(decision: Decision, turns: Turns, held: Container[int], found: list[Top]) -> _Choice | None:
    """The best that a busy slot is to train next, so that it does not wait for a lease when it is done.

    Only slots whose paths are short, or about to end, ask for that, so that little is decided early. Where slots are to
    be divided among users, or a path is to train alone on its host, each is granted when a slot is free for it.
    """
    state, wanted = decision.state, decision.volatile.ahead
    if not (wanted and found) or _divided(state, turns):
        return None
    waiting: list[tuple[int, str, int]] = []
    taking = {worker.name: worker for worker in takers(state)}
    for (name, index), ahead in wanted.items():
        worker = taking.get(name)
        slot = None if worker is None else worker.slots.get(index)
        if slot is None or slot.cordoned or not 0 < len(slot.queue) <= ahead.count:
            continue
        if ahead.fence and (
            slot.queue[0] != ahead.fence or not _nothing_follows(state, state.leases[ahead.fence])
        ):
            continue
        if _patient_until(decision.volatile, name, slot) <= decision.now:
            continue
        if not any(state.leases[fence].stopping for fence in slot.queue):
            waiting.append((len(slot.queue), name, index))
    for _, name, index in sorted(waiting):
        worker = taking[name]
        slot = worker.slots[index]
        options = list(_options(state, turns, found, worker, slot, held))
        if options:
            return max(options, key=lambda choice: choice.rank)
    return None


def _divided(state: EngineState, turns: Turns) -> bool:
    """Whether slots are to be granted only as they become free: there are users, limits or lone paths to respect."""
    return not turns.alone or turns.limits or bool(state.cramped)


def _return_waiting(decision: Decision) -> None:
    """Has what waits in a slot given back where its turn does not come soon, or slots are to be divided.

    A path that takes long, or is stuck, must not keep what waits behind it from slots that are free.
    """
    state, volatile = decision.state, decision.volatile
    if volatile.next_return is None:
        return
    divided = _divided(state, Turns(decision))
    if not divided and decision.now < volatile.next_return:
        return
    volatile.next_return = None
    for worker in state.workers.values():
        for slot in worker.slots.values():
            waiting = [fence for fence in slot.queue[1:] if not state.leases[fence].stopping]
            if not waiting:
                continue
            due = _patient_until(volatile, worker.name, slot)
            if not divided and decision.now < due:
                _return_by(volatile, due)
                continue
            for fence in waiting:  # it may have begun meanwhile
                decision.emit(LeaseStopped(fence=fence, save=True, reason=RETURNED))


def _nothing_follows(state: EngineState, lease: Lease) -> bool:
    """Whether nobody goes on, or may, from where a path ends: else its slot may be the best for that."""
    node, step = lease.end
    if state.plans[lease.plan].tree.count_from(lease.end):
        return False
    waiting = state.nodes[node].requests.get(step, {})
    return bool(waiting) and all(state.studies[study].member(trial).limit == step for study, trial in waiting)


def _patient_until(volatile: Volatile, worker: str, slot: Slot) -> float:
    """Until when leases may wait behind the path that trains in a slot."""
    course, ahead = volatile.courses[worker, slot.index], volatile.ahead.get((worker, slot.index))
    is_about_to_end = ahead is not None and ahead.fence == course.fence
    return PATIENCE_SECONDS + (ahead.asked if ahead is not None and is_about_to_end else course.began)


def _return_by(volatile: Volatile, due: float) -> None:
    volatile.next_return = due if volatile.next_return is None else min(due, volatile.next_return)


def _is_alone(state: EngineState, choice: _Choice) -> bool:
    candidate = choice.candidate
    return is_alone(state, longest_path(choice.plan.tree, candidate.node, candidate.base, choice.user).stages)


def _options(
    state: EngineState,
    turns: Turns,
    found: list[Top],
    worker: Worker,
    slot: Slot,
    held: Container[int],
    ready_for: int | None = None,
) -> Iterator[_Choice]:
    # What a slot held has gone where it was made ready for something.
    holds = slot.holds if ready_for is None else None
    for top in found:
        plan, candidate, user = top.plan, top.candidate, top.user
        if suits(state, plan, worker, slot):
            in_memory = holds is not None and holds == _base_state(plan, candidate)
            turn = NOBODY_ELSE if user is None else turns.turn((plan.project, user))
            what = _Holds.NONE_BUT_READY if ready_for == plan.id else _holds(state, holds, plan)
            yield _Choice(candidate, plan, worker, slot, in_memory, what, user, turn)
    if holds is None:
        return
    plan = state.plans[state.nodes[holds[0]].plan]
    if plan.id in held:
        return
    following = list(plan.tree.continuations(holds, every=bool(state.cramped)))
    if following and _kept_or_promised(state, holds) and suits(state, plan, worker, slot):
        for candidate in following:
            for user in turns.users_in(plan):
                if user is None:
                    yield _Choice(candidate, plan, worker, slot, True, _Holds.THE_PLANS, None, NOBODY_ELSE)
                elif user in plan.tree.users_of(candidate) and turns.may_take((plan.project, user)):
                    turn = turns.turn((plan.project, user))
                    yield _Choice(candidate, plan, worker, slot, True, _Holds.THE_PLANS, user, turn)


def _holds(state: EngineState, holds: State | None, plan: PlanState) -> _Holds:
    if holds is None:
        return _Holds.NONE
    return _Holds.THE_PLANS if state.nodes[holds[0]].plan == plan.id else _Holds.ANOTHER_PLANS


def idle_slots_for(state: EngineState, plan: PlanState) -> int:
    """How many slots idle that could train the plan."""
    return sum(suits(state, plan, worker, slot) for worker, slot in idle_slots(state))


def slots_for(state: EngineState, plan: PlanState) -> int:
    """How many slots could train the plan, idle or not."""
    return sum(suits(state, plan, worker, slot) for worker in takers(state) for slot in worker.slots.values())


def _base_state(plan: PlanState, candidate: Candidate) -> State | None:
    """The state that a range begins at; None: step 0."""
    node = plan.plan.numbered[candidate.node]
    if candidate.base > node.start:
        return node.id, candidate.base
    return None if node.parent is None else (node.parent.id, node.start)


def _grant(decision: Decision, choice: _Choice) -> bool:
    """Grants the choice's path; after a plan was bound to its environment, and studies moved, looks again."""
    state = decision.state
    plan, worker, slot = choice.plan, choice.worker, choice.slot
    resources = state.studies[next(iter(plan.studies))].spec.program.resources
    if not plan.environment:
        bound = bind_plan(decision, plan, environment_of(worker, slot, resources))
        if bound is not plan:
            return False
    path = longest_path(plan.tree, choice.candidate.node, choice.candidate.base, choice.user)
    study = _study_of(state, plan, path, choice.user)
    base = _base_state(plan, choice.candidate)
    start = None if base is None else (*base, _fence_of(state, plan, base))
    decision.waits.append(_waited(decision, plan, choice.candidate))
    decision.emit(
        LeaseGranted(
            fence=state.last_fence + 1,
            worker=worker.name,
            incarnation=worker.incarnation,
            slot=slot.index,
            plan=plan.id,
            study=study,
            user=state.studies[study].user,
            stages=path.stages,
            start=start,
            in_memory=choice.in_memory,
            save_points=path.save_points,
        )
    )
    if len(slot.queue) > 1:
        _return_by(decision.volatile, _patient_until(decision.volatile, worker.name, slot))
    if not state.studies[study].bound:
        decision.emit(StudyPlanned(study=study, plan=plan.id, bound=True))
    state.touched_plans[plan.id] = None
    return True


def _waited(decision: Decision, plan: PlanState, candidate: Candidate) -> float:
    """See ``Outcome.waits``."""
    tree, number = plan.tree, candidate.node
    if not tree.ready(plan.plan.numbered[number], tree.range_at(number, candidate.base)):
        return 0.0
    return decision.now - tree.ready_ranges.since[number]


def _study_of(state: EngineState, plan: PlanState, path: Path, user: str | None) -> int:
    """The study that the path is leased for: the one of highest priority that waits for its end; a user's, if given."""
    number, _, stop = path.stages[-1]
    owners = {study: owner for study, owner in state.owners.items() if user in {None, owner}}
    waiting = [study for study, _ in plan.plan.numbered[number].requests.get(stop, {}) if study in owners]
    if not waiting:
        waiting = [study for study in plan.plan.numbered[number].open if study in owners]
    return max(waiting, key=lambda study: (state.active[study], -study))


def _kept_or_promised(state: EngineState, held: State) -> bool:
    """Whether a state that a slot holds is, or will be, durable: what goes on from it must not depend on memory."""
    number, step = held
    node = state.nodes[number]
    return step in node.checkpoints or bool(_saving(state.tree_of(node), held))


def _fence_of(state: EngineState, plan: PlanState, base: State) -> int:
    """Who saved the state, or is saving it."""
    number, step = base
    node: Node = plan.plan.numbered[number]
    kept = node.checkpoints.get(step)
    if kept:
        return max(kept)
    return max(_saving(plan.tree, base))


def _saving(tree: StageTree, state: State) -> list[int]:
    """The leases that have promised to save a state."""
    return [fence for fence, lease in tree.leases.get(state[0], {}).items() if lease.promises_state(state)]
