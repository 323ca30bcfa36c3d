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
whose steps are slow would starve the others. Where there are several users, lengths are compared among the paths of
each; what goes from one to another is a matter of their turns (``hippo_core.engine.takeovers``).

How far a path has come between two reports is estimated from the time that has passed. These estimates, and what saves
and starts were seen to cost, are volatile; a cut is right at any moment, and only its use depends on them.
"""

from __future__ import annotations

import math
from collections.abc import Container

from hippo_core.engine.courses import margin, next_step, soonest_end, waiting_priority
from hippo_core.engine.decision import Course, Decision, Look
from hippo_core.engine.environments import suits, takers
from hippo_core.engine.evaluations import open_below
from hippo_core.engine.events import LeaseStopped
from hippo_core.engine.state import EngineState, PlanState
from hippo_core.engine.states import LeaseState
from hippo_core.engine.study import Study
from hippo_core.engine.takeovers import take_over
from hippo_core.engine.turns import Turns, owner_of
from hippo_core.lease import Lease
from hippo_core.stage_ranges import Candidate

LAXITY_SHARE = 0.5  #: so much of the time that a path can wait, it does
LONGER = "yields its slot to a longer path"
OUTRANKED = "yields its slot to a path of higher priority"


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
    turns = Turns(decision)
    for plan in state.plans.values():
        if plan.id in held:
            continue
        for user in turns.users_in(plan):
            first = plan.tree.best(user)
            if first is None:
                continue
            if not mixed:
                if user is None and _was_looked_at(decision, plan, first):
                    continue
                if not _may_be_levelled(decision, plan, first):
                    continue
            while _cut_for(decision, plan, first, user, mixed=mixed):
                pass
    if not turns.alone:
        _look_at(decision, take_over(decision, Turns(decision), held))


def _may_be_levelled(decision: Decision, plan: PlanState, first: Candidate) -> bool:
    """Whether a path of a plan may have to yield to a longer one now: a quick look, taken after each report."""
    state = decision.state
    if not any(_may_wait(state.studies[number]) for number in plan.studies):
        return False
    # All paths are looked at where what is known of them without that is not enough.
    soonest = decision.volatile.soonest_ends.get(plan.id, math.inf) - first.length
    if soonest <= decision.now:
        soonest = soonest_end(decision, plan.id) - first.length
    if soonest <= decision.now:
        return True
    _look_at(decision, soonest)
    return False


def _look_at(decision: Decision, time: float) -> None:
    """Notes when a path may have to yield, if that is sooner than what was noted."""
    volatile = decision.volatile
    if time < math.inf:
        volatile.next_cut = time if volatile.next_cut is None else min(time, volatile.next_cut)


def _cut_for(decision: Decision, plan: PlanState, first: Candidate, user: str | None, *, mixed: bool) -> bool:
    """Cuts the paths that are to be cut now for those of a plan; of several users' one, as limits may count it.

    Args:
        decision: Nothing more can be granted.
        plan: The plan.
        first: The first of its ready paths; or of those of a user.
        user: Whose it is, where there are several.
        mixed: Whether priorities differ.

    Returns:
        Whether to look again.
    """
    tree, now = plan.tree, decision.now
    paths = _yielding(decision, plan, first.priority, user, mixed=mixed)
    # What yields already, or ends soon, has its slot for the first of those that wait.
    staying = sorted([each for each in paths if each[4].ends - now > each[5] and not each[3].stopping])
    if not staying:
        return False
    work = tree.work + sum([each[4].ends - now for each in paths if each[4].ends > now])
    # Being told to stop changes nothing of what is ready, nor of how long other paths are.
    for top in tree.ready_from(len(paths) - len(staying) + 1, user):
        laxity = max(0.0, work / len(paths) - top.remaining)
        path = _first_to_yield(decision, staying, top, laxity)
        if path is None:
            return False
        if isinstance(path, float):
            if user is None and not mixed:
                # Half of the way: the laxity falls as time passes, and paths may come on faster than was thought.
                again = now + (path - now) / 2.0
                decision.volatile.looks[plan.id] = Look(path, again, first.length, first.priority)
            _look_at(decision, path)
            return False
        reason = OUTRANKED if path[0] < top.priority else LONGER
        decision.emit(LeaseStopped(fence=path[2], save=True, reason=reason))
        if user is not None:
            return True
        staying.remove(path)
        if not staying:
            return False
    return False


def _first_to_yield(
    decision: Decision, staying: list[_Running], top: Candidate, laxity: float
) -> _Running | float | None:
    """The path that yields to a ready one now; or when one is to, as far as is known; None: none has to.

    Args:
        decision: Nothing more can be granted.
        staying: The paths that may yield, in order; not empty.
        top: The ready one.
        laxity: For how long it can wait, in seconds.
    """
    if staying[0][0] < top.priority:
        return staying[0]
    for path in staying:
        priority, end, _, lease, course, least = path
        if priority > top.priority:
            return None
        due = max(course.began, end - top.length + LAXITY_SHARE * laxity) + least
        if due > decision.now:
            return due
        if not _is_awaited(decision.state, lease):
            return path
    return None


def _was_looked_at(decision: Decision, plan: PlanState, first: Candidate) -> bool:
    """Whether all paths of a plan were looked at of late, so that none has to yield yet; after most reports so."""
    look = decision.volatile.looks.get(plan.id)
    if look is None or decision.now >= look.again:
        return False
    if first.length > look.length or first.priority != look.priority:
        return False
    _look_at(decision, look.due)
    return True


def _yielding(
    decision: Decision, plan: PlanState, priority: int, user: str | None, *, mixed: bool
) -> list[_Running]:
    """The paths in training that may yield to one of a plan: the plan's own, and others of lower priority.

    Where there are several users, those of others yield to a user's only as their turns come: but for lower priority.
    Somebody who may have no further slot has only own paths yield.
    """
    state, volatile = decision.state, decision.volatile
    limited = not Turns(decision).may_take((plan.project, user)) if user is not None else False
    # Before a step is measured nobody knows how long a path is; without space a cut could not save.
    margins = {
        each.id: margin(decision, each.id)
        for each in (state.plans.values() if mixed else [plan])
        if each.tree.costs.seconds > 0 and each.id not in volatile.full
    }
    found = []
    for worker in takers(state):
        for slot in worker.slots.values():
            if slot.cordoned or len(slot.queue) != 1:
                continue  # it is idle, or would go to what waits there
            lease = state.leases[slot.queue[0]]
            if lease.state is not LeaseState.TRAINING or lease.plan not in margins:
                continue
            own = waiting_priority(state, lease) if mixed else priority
            theirs = user is not None and owner_of(state, lease) != (plan.project, user)
            is_other = lease.plan != plan.id or theirs
            if theirs and limited:
                continue
            if is_other and (own >= priority or not suits(state, plan, worker, slot)):
                continue
            course = volatile.courses[worker.name, slot.index]
            found.append((own, course.ends + course.ahead, lease.fence, lease, course, margins[lease.plan]))
    return found


def _is_awaited(state: EngineState, lease: Lease) -> bool:
    """Whether a study decides by when trials that need the path's steps arrive.

    A sampler that learns does, and a policy that does not wait for all; but not by those that are done there.
    """
    node, _ = next_step(state, lease)
    for number in node.open:
        study = state.studies[number]
        if not _may_wait(study):
            return True
        if study.policy.hurries and any(not _ends_there(study, trial) for trial in open_below(study, node)):
            return True
    return False


def _may_wait(study: Study) -> bool:
    """Whether nothing is decided by when steps of a study's trials are trained, but perhaps by when they end."""
    return not study.to_come and not (study.policy.hurries and study.policy.watches)


def _ends_there(study: Study, number: int) -> bool:
    """Whether a trial's open request is for its last step; a probe's is not, as its trial may go on after it."""
    trial = study.member(number)
    return trial.target is not None and trial.target >= trial.limit and not trial.probe
