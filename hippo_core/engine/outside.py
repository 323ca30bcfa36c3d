"""Studies whose points come from outside: how many they want now, and since when they want any.

Unlike a sampler that learns, they are not asked for one at a time: whoever makes the points asks, looks at whatever it
likes, and tells them as it can. That a study wants points is an event, so that people can be told since when; how many
is a function of the state.
"""

from __future__ import annotations

from collections.abc import Container

from hippo_core.engine.decision import Decision
from hippo_core.engine.events import PointsWanted
from hippo_core.engine.granting import idle_slots_for
from hippo_core.engine.growing import growing_plans
from hippo_core.engine.quotas import crowded
from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Study
from hippo_core.engine.turns import limited, slots_in_use


def note_wants(decision: Decision) -> None:
    """Says of each study that began, or ceased, to want points from outside that it did."""
    state = decision.state
    for number in state.active:
        study = state.studies[number]
        if study.spec.sampler.outside:
            wanted = points_wanted(state, study, decision.volatile.full) > 0
            if wanted is not study.wants_points:
                decision.emit(PointsWanted(study=number, wanted=wanted))


def points_wanted(state: EngineState, study: Study, full: Container[int]) -> int:
    """How many points a study wants now: one for each slot that idles, and one where it has nothing else to do.

    Args:
        state: Not changed.
        study: The study.
        full: Plans for whose states no space is left.
    """
    if study.id not in state.active or study.ending or study.short or not study.spec.sampler.outside:
        return 0
    if crowded(state, study):
        return 0
    plan = state.plans[study.plan]
    # While something waits to be tried again, idle slots are no reason: a sick host would get all trials made.
    held_back = plan.tree.blocked or plan.id in full or plan.id in growing_plans(state)
    full_up = limited(state, (study.project, study.user), slots_in_use(state))
    idle = 0 if held_back or full_up else idle_slots_for(state, plan)
    return min(study.unproposed, max(idle, 0 if study.open else 1))


def wants_in_words(study: Study) -> str:
    """What a study that wants points waits for, and the remedy."""
    return (
        f"waits for a point from outside: run.ask() and run.tell(), or hippo study enqueue {study.name}; "
        f"hippo study stop {study.name} ends it"
    )
