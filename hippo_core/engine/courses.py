"""How running paths are getting on between their reports, and what their starts and saves cost.

These are estimates by the driver's time. They start anew with a new leader; nothing that is trained depends on them.
"""

from __future__ import annotations

import math

from hippo_core.engine.decision import Course, Decision, Overhead
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import LeaseState
from hippo_core.lease import Lease
from hippo_core.plan import Node

MARGIN_COSTS = 2.0  #: a cut has to gain so many times what it costs
WEIGHT = 0.25  #: of the latest save or start among all that were seen


def seconds_left(state: EngineState, lease: Lease) -> float:
    """What a path has yet to train beyond its committed position, in estimated seconds."""
    tree = state.plans[lease.plan].tree
    left, position = 0.0, lease.step
    for number, _, stop in lease.stages[lease.index :]:
        left += (stop - position) * tree.costs.seconds_of(state.nodes[number])
        position = stop
    return left


def _seconds_ahead(state: EngineState, lease: Lease) -> float:
    node, step = lease.end
    return state.plans[lease.plan].tree.seconds_ahead(state.nodes[node], step)


def note_begun(decision: Decision) -> None:
    """Notes when paths begin, as far as their turns in their slots have come."""
    state = decision.state
    if not state.begun:
        return
    for fence in list(state.begun):
        del state.begun[fence]
        if fence in state.leases and state.is_first(state.leases[fence]):
            note_start(decision, state.leases[fence])


def note_start(decision: Decision, lease: Lease) -> None:
    """A path begins, or its new leader first hears of it."""
    overhead = decision.volatile.overheads.get(lease.plan, Overhead())
    course = decision.volatile.courses[lease.worker, lease.slot] = Course(
        fence=lease.fence,
        began=decision.now,
        ends=decision.now + overhead.start + seconds_left(decision.state, lease),
        ahead=_seconds_ahead(decision.state, lease),
    )
    _note_end(decision, lease.plan, course)
    look = decision.volatile.looks.get(lease.plan)
    if look is not None:  # it yields no sooner
        soonest = decision.now + margin(decision, lease.plan)
        look.due, look.again = min(look.due, soonest), min(look.again, soonest)


def note_progress(decision: Decision, lease: Lease, seconds: float, *, first: bool) -> None:
    """Steps of a path were reported.

    Args:
        decision: The steps are committed.
        lease: The path's.
        seconds: What they took.
        first: Whether they are the path's first: what passed before them is what its start took.
    """
    course = decision.volatile.courses.get((lease.worker, lease.slot))
    if course is None or course.fence != lease.fence:
        return
    if first:
        overhead = decision.volatile.overheads.setdefault(lease.plan, Overhead())
        spent = max(0.0, decision.now - course.began - seconds)
        overhead.start += WEIGHT * (spent - overhead.start) if overhead.start else spent
    course.ends = decision.now + seconds_left(decision.state, lease)
    course.ahead = _seconds_ahead(decision.state, lease)
    _note_end(decision, lease.plan, course)


def _note_end(decision: Decision, plan: int, course: Course) -> None:
    soonest = decision.volatile.soonest_ends
    soonest[plan] = min(soonest.get(plan, math.inf), course.ends + course.ahead)


def soonest_end(decision: Decision, plan: int) -> float:
    """Looks at all paths of a plan in training: when the first ends, with what is sure to follow it."""
    state, courses = decision.state, decision.volatile.courses
    ends = math.inf
    for lease in state.leases.values():
        if lease.plan == plan and lease.state is LeaseState.TRAINING:
            course = courses.get((lease.worker, lease.slot))
            if course is not None and course.fence == lease.fence:  # the first in its slot
                ends = min(ends, course.ends + course.ahead)
    decision.volatile.soonest_ends[plan] = ends
    return ends


def note_save(decision: Decision, lease: Lease, seconds: float) -> None:
    """A save of a path kept its slot from training for so many seconds."""
    overhead = decision.volatile.overheads.setdefault(lease.plan, Overhead())
    overhead.save += WEIGHT * (seconds - overhead.save) if overhead.save else seconds


def margin(decision: Decision, plan: int) -> float:
    """What a cut of one of a plan's paths has to gain, in seconds.

    A save that was not seen yet is taken to cost what a start does.
    """
    overhead = decision.volatile.overheads.get(plan, Overhead())
    cost = overhead.start + (overhead.save or overhead.start)
    return MARGIN_COSTS * cost + decision.state.plans[plan].tree.costs.mean()


def waiting_priority(state: EngineState, lease: Lease) -> int:
    """The highest priority of what waits for the steps that a path has yet to train."""
    node, position = next_step(state, lease)
    waiting = [
        state.active[study]
        for study, step in node.furthest(position + 1).items()
        if study in state.active and step > position
    ]
    return max(waiting, default=min(state.active.values(), default=0))


def next_step(state: EngineState, lease: Lease) -> tuple[Node, int]:
    """The step that a path trains next, as far as is known, and its node."""
    return state.nodes[lease.next_node], lease.step
