"""Running paths that are cut short, so that others get their slots.

Theory of operation. A slot is granted a whole path. Hu's level algorithm (Operations Research 9(6), 1961) would give
the slots to the longest remaining paths anew at every step; where paths run to their leaves, long ones can be left
over for the end, when slots idle. So where a path is ready and no slot idles, the running path that has least left
yields to it: it saves its state at its next step, and goes on from there when a slot is free for it. No step is
trained twice for that.

A cut costs a save and a start, so that the ready path must be longer than the running one by a *margin*, twice that
cost and a step, and by half of its *laxity*: of the time for which it can wait yet without delaying the end. While
there is work enough for all slots, paths are left alone; with the end in sight they are levelled ever finer. (The
laxity is that of scheduling with deadlines, with the work left divided by the slots for the deadline.)

Who arrives first matters to some studies: to ASHA, which promotes the best so far, and to samplers that learn. Their
paths are left to run in the order in which they were begun, but for those whose trials are done at their end.

The length of a path that leads to a rung of a policy that waits for all includes what is sure to follow: somebody of
the study goes on from there to its last step. So the rungs on which most depends are reached first.

Lengths are compared within one plan. Between plans, and within one, a path of higher priority takes the slot of one of
lower priority that has more than the margin left. Plans of one priority leave each other's paths alone: a program
whose steps are slow would starve the others.

How far a path has come between two reports is estimated from the time that has passed. These estimates, and what saves
and starts were seen to cost, are volatile; a cut is right at any moment, and only its use depends on them.
"""

from __future__ import annotations

import math
from collections.abc import Container

from hippo_core.engine.decision import Course, Decision, Overhead
from hippo_core.engine.environments import suits, takers
from hippo_core.engine.evaluations import open_below
from hippo_core.engine.events import LeaseStopped
from hippo_core.engine.state import EngineState, PlanState, Study
from hippo_core.engine.states import LeaseState
from hippo_core.lease import Lease
from hippo_core.plan import Node
from hippo_core.tree import Candidate

MARGIN_COSTS = 2.0  #: a cut has to gain so many times what it costs
LAXITY_SHARE = 0.5  #: so much of the time that a path can wait, it does
WEIGHT = 0.25  #: of the latest save or start among all that were seen
LONGER = "yields its slot to a longer path"
OUTRANKED = "yields its slot to a path of higher priority"


def seconds_left(state: EngineState, lease: Lease) -> float:
    """What a path has yet to train beyond its committed position, in estimated seconds."""
    tree = state.plans[lease.plan].tree
    left, position = 0.0, lease.step
    for number, _, stop in lease.stages[lease.index :]:
        left += (stop - position) * tree.step_seconds(state.nodes[number])
        position = stop
    return left


def _seconds_ahead(state: EngineState, lease: Lease) -> float:
    node, step = lease.end
    return state.plans[lease.plan].tree.seconds_ahead(state.nodes[node], step)


def note_start(decision: Decision, lease: Lease) -> None:
    """A path begins, or its new leader first hears of it."""
    overhead = decision.volatile.overheads.get(lease.plan, Overhead())
    decision.volatile.courses[lease.worker, lease.slot] = Course(
        fence=lease.fence,
        began=decision.now,
        ends=decision.now + overhead.start + seconds_left(decision.state, lease),
        ahead=_seconds_ahead(decision.state, lease),
    )


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


def note_save(decision: Decision, lease: Lease, seconds: float) -> None:
    """A save of a path kept its slot from training for so many seconds."""
    overhead = decision.volatile.overheads.setdefault(lease.plan, Overhead())
    overhead.save += WEIGHT * (seconds - overhead.save) if overhead.save else seconds


_Running = tuple[int, float, int, Lease, Course, float]
"""A path in training whose slot a ready one may take; the least of several yields first.

The highest priority of what waits for its steps, when it and what is sure to follow it are expected to end, its fence,
its lease, its course, and what cutting it has to gain, in seconds.
"""


def cut_paths(decision: Decision, held: Container[int]) -> None:
    """Lets running paths yield to ready ones for which no slot idles; notes when the next may have to.

    Args:
        decision: Nothing more can be granted.
        held: Plans of which no path may begin.
    """
    state = decision.state
    decision.volatile.next_cut = None
    if not decision.settings.cutting:
        return
    mixed = len(set(state.active.values())) > 1
    for plan in state.plans.values():
        if plan.id in held:
            continue
        first = plan.tree.best()
        if first is None or not (mixed or _may_be_levelled(decision, plan, first)):
            continue
        while first is not None and _cut_one(decision, plan, first, mixed=mixed):
            first = plan.tree.best()


def _may_be_levelled(decision: Decision, plan: PlanState, first: Candidate) -> bool:
    """Whether a path of a plan may have to yield to a longer one now: a quick look, taken after each report."""
    state, courses = decision.state, decision.volatile.courses
    if not any(_may_wait(state.studies[number]) for number in plan.studies):
        return False
    ends = math.inf
    for lease in state.leases.values():
        if lease.state is LeaseState.TRAINING and lease.plan == plan.id:
            course = courses[lease.worker, lease.slot]
            ends = min(ends, course.ends + course.ahead)
    soonest = ends - first.length
    if soonest <= decision.now:
        return True
    _look_at(decision, soonest)
    return False


def _look_at(decision: Decision, time: float) -> None:
    """Notes when a path may have to yield, if that is sooner than what was noted."""
    volatile = decision.volatile
    if time < math.inf:
        volatile.next_cut = time if volatile.next_cut is None else min(time, volatile.next_cut)


def _cut_one(decision: Decision, plan: PlanState, first: Candidate, *, mixed: bool) -> bool:
    """Cuts a path for one of a plan where one is to be cut now.

    Args:
        decision: Nothing more can be granted.
        plan: The plan.
        first: The first of its ready paths.
        mixed: Whether priorities differ.
    """
    tree, now = plan.tree, decision.now
    paths = _yielding(decision, plan, first.priority, mixed=mixed)
    # What yields already, or ends soon, has its slot for the first of those that wait.
    staying = [each for each in paths if each[4].ends - now > each[5] and not each[3].stopping]
    if not staying:
        return False
    top = tree.ready_at(len(paths) - len(staying) + 1)
    if top is None:
        return False
    priority, _, fence, *_ = min(staying)
    if priority < top.priority:
        decision.emit(LeaseStopped(fence=fence, save=True, reason=OUTRANKED))
        return True
    work = tree.work + sum([each[4].ends - now for each in paths if each[4].ends > now])
    laxity = max(0.0, work / len(paths) - top.remaining)
    while staying:
        path = min(staying)
        priority, end, fence, lease, course, margin = path
        if priority > top.priority:
            return False
        due = max(course.began, end - top.length + LAXITY_SHARE * laxity) + margin
        if due > now:
            _look_at(decision, due)
            return False
        if not _is_awaited(decision.state, lease):
            decision.emit(LeaseStopped(fence=fence, save=True, reason=LONGER))
            return True
        staying.remove(path)
    return False


def _margin(decision: Decision, plan: PlanState) -> float:
    """What a cut of one of a plan's paths has to gain, in seconds.

    A save that was not seen yet is taken to cost what a start does.
    """
    overhead = decision.volatile.overheads.get(plan.id, Overhead())
    cost = overhead.start + (overhead.save or overhead.start)
    return MARGIN_COSTS * cost + plan.tree.mean_step_seconds()


def _yielding(decision: Decision, plan: PlanState, priority: int, *, mixed: bool) -> list[_Running]:
    """The paths in training that may yield to one of a plan: the plan's own, and others of lower priority."""
    state, volatile = decision.state, decision.volatile
    # Before a step is measured nobody knows how long a path is; without space a cut could not save.
    margins = {
        each.id: _margin(decision, each)
        for each in (state.plans.values() if mixed else [plan])
        if each.tree.seconds > 0 and each.id not in volatile.full
    }
    found = []
    taking = {worker.name: worker for worker in takers(state)}
    for lease in state.leases.values():
        if lease.state is not LeaseState.TRAINING or lease.plan not in margins:
            continue
        worker = taking.get(lease.worker)
        if worker is None:
            continue
        own = _priority(state, lease) if mixed else priority
        is_other = lease.plan != plan.id
        if is_other and (own >= priority or not suits(state, plan, worker, worker.slots[lease.slot])):
            continue
        course = volatile.courses[lease.worker, lease.slot]
        found.append((own, course.ends + course.ahead, lease.fence, lease, course, margins[lease.plan]))
    return found


def _priority(state: EngineState, lease: Lease) -> int:
    """The highest priority of what waits for the steps that a path has yet to train."""
    node, position = _next_step(state, lease)
    waiting = [
        state.active[study]
        for study, step in node.furthest().items()
        if study in state.active and step > position
    ]
    return max(waiting, default=min(state.active.values(), default=0))


def _is_awaited(state: EngineState, lease: Lease) -> bool:
    """Whether a study decides by when trials that need the path's steps arrive.

    A sampler that learns does, and a policy that does not wait for all; but not by those that are done there.
    """
    node, _ = _next_step(state, lease)
    for number in node.open:
        study = state.studies[number]
        if not _may_wait(study):
            return True
        if study.policy.hurries and any(not _ends_there(study, trial) for trial in open_below(study, node)):
            return True
    return False


def _may_wait(study: Study) -> bool:
    """Whether nothing is decided by when steps of a study's trials are trained, but perhaps by when they end."""
    return not study.unproposed and not (study.policy.hurries and study.policy.watches)


def _ends_there(study: Study, number: int) -> bool:
    """Whether a trial's open request is for its last step; a probe's is not, as its trial may go on after it."""
    trial = study.member(number)
    return trial.target is not None and trial.target >= trial.limit and not trial.probe


def _next_step(state: EngineState, lease: Lease) -> tuple[Node, int]:
    """The step that a path trains next, as far as is known, and its node."""
    index = lease.index
    if lease.step >= lease.stages[index][2] and index + 1 < len(lease.stages):
        index += 1
    return state.nodes[lease.stages[index][0]], lease.step
