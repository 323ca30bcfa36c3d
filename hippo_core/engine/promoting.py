"""Promotions that wait for a slot.

A policy that promotes the best so far knows more the later it is asked: what looks good among a few is displaced by
what comes after, and would have been trained in vain. So its promotions are carried out one at a time, as a slot would
take them: one that idles, and for which nothing longer is ready. Where nothing at all is ready one is in line, so that
the study has its turn as any other.
"""

from __future__ import annotations

from hippo_core.engine.budget import Room
from hippo_core.engine.decision import Decision
from hippo_core.engine.environments import idle_slots
from hippo_core.engine.granting import idle_slots_for
from hippo_core.engine.growing import growing_plans
from hippo_core.engine.settling import carry_out
from hippo_core.engine.study import Study
from hippo_core.policies import Promote


def promote(decision: Decision) -> bool:
    """Carries out a promotion that a slot would take; tells whether there was one, from which something may follow."""
    state = decision.state
    waiting = [study for study in map(state.studies.__getitem__, state.active) if _has_waiting(study)]
    idle = bool(waiting) and any(True for _ in idle_slots(state))
    for study in waiting:
        first, *others = study.promotions
        if not _would_be_taken(decision, study, first, idle=idle):
            continue
        room = Room.of(decision, study)
        if carry_out(decision, study, first, room):
            study.promotions = tuple(others)
            return True
        study.short = "" if room is None else room.short
    return False


def _has_waiting(study: Study) -> bool:
    return bool(study.promotions) and not study.ending and not study.short


def _would_be_taken(decision: Decision, study: Study, first: Promote, *, idle: bool) -> bool:
    """Whether fewer paths are ready than slots idle, or than one, that come before a promotion's.

    Args:
        decision: Only its plan's tree is brought up to date.
        study: The study.
        first: Its first promotion that waits.
        idle: Whether any slot idles: to count those that fit looks at them all, for each study.
    """
    state = decision.state
    plan = state.plans[study.plan]
    if plan.id in growing_plans(state):
        return False
    plan.tree.refresh(decision.now)
    user = study.user if len(set(plan.tree.owners.values())) > 1 else None
    idling = idle_slots_for(state, plan) if idle else 0
    last = plan.tree.ready_at(max(1, idling), user)
    if last is None or last.priority < state.active[study.id]:
        return True
    if not idling:
        return False
    trial = study.trials[first.trial]
    assert trial.node is not None, "only what has come to a rung is promoted"
    length = (first.to - trial.reached) * plan.tree.costs.seconds_of(trial.node)
    return last.priority == state.active[study.id] and last.length <= length
