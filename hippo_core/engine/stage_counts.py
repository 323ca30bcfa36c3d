"""How many stages are still to run, and what they wait for: what operators watch, over all projects.

A range of the stage tree is counted as one stage, as the slot that takes it trains it in one go.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from hippo_core.engine.engine import Engine
from hippo_core.engine.granting import held_plans, idle_slots_for, slots_for
from hippo_core.engine.state import EngineState, PlanState
from hippo_core.engine.turns import limited, slots_in_use


class StageState(StrEnum):
    """What a stage that is still to run waits for. Each is in one of these."""

    TRAINING = "training"  #: for its end
    GRANTED = "granted"  #: for the stages before it in its slot
    STARTABLE = (
        "startable"  #: for nothing: a slot that fits idles. It is granted at once, unless something is wrong
    )
    QUEUED = "queued"  #: for a slot: all that fit are taken, or its user and project may have no more
    UNSERVED = "unserved"  #: for a worker whose slots fit
    HELD = (
        "held"  #: for the end of a pause after a failure, space in the storage, or trials still to be created
    )
    WAITING = "waiting"  #: for the state that it begins at


def stage_counts(engine: Engine) -> Mapping[StageState, int]:
    """How many stages are in each state; those that training and saving paths have behind them are in none."""
    state = engine.state
    counts = dict.fromkeys(StageState, 0)
    held_back = held_plans(state, engine.volatile)
    for plan in state.plans.values():
        tree = plan.tree
        if not tree.range_count:
            continue
        ready = sum(tree.ready_ranges.counts.values())
        counts[StageState.WAITING] += tree.range_count - ready
        held = sum(tree.ready_ranges.counts.get(number, 0) for number in tree.blocked)
        if plan.id in held_back:
            held = ready
        counts[StageState.HELD] += held
        if ready > held:
            counts[_state_of_ready(state, plan)] += ready - held
    for lease in state.leases.values():
        if lease.training:
            training = int(state.is_first(lease))
            counts[StageState.TRAINING] += training
            counts[StageState.GRANTED] += len(lease.stages) - lease.index - training
    return counts


def _state_of_ready(state: EngineState, plan: PlanState) -> StageState:
    """What the ready stages of a plan wait for, that no failure holds back."""
    if not slots_for(state, plan):
        return StageState.UNSERVED
    if not idle_slots_for(state, plan) or state.cramped:  # a path that is to train alone waits for a host
        return StageState.QUEUED
    owners = {(plan.project, state.owners[number]) for number in plan.studies if number in state.active}
    taken = slots_in_use(state)
    if all(limited(state, owner, taken) for owner in owners):
        return StageState.QUEUED
    return StageState.STARTABLE
