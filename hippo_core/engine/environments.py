"""Which plan a study belongs to: that of its program in the environment that its workers have.

Bits depend on the environment beside the program, so that a plan is trained in one environment only. A plan without
one waits for its first lease, which binds it. A bound plan that has lost its last study is over: its checkpoints go,
and equal studies are planned, and trained, anew.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from functools import lru_cache
from typing import Any

from hippo_core.engine.decision import Decision
from hippo_core.engine.events import (
    CheckpointDropped,
    LeaseStateChanged,
    PlanBound,
    PlanCreated,
    StudyPlanned,
)
from hippo_core.engine.requests import open_request
from hippo_core.engine.state import EngineState, PlanState, Slot, Worker
from hippo_core.engine.states import LeaseState, WorkerState
from hippo_core.engine.study import Study
from hippo_core.program import Resources


def environment_of(worker: Worker, slot: Slot, resources: Resources) -> str:
    """What decides bits on a slot, as one canonical text."""
    known = worker.environment
    return _canonical(
        known.get("python"),
        known.get("torch"),
        known.get("cuda") if slot.device == "cuda" else None,
        slot.device,
        slot.model if resources.accelerator == "same" else None,
    )


@lru_cache(maxsize=1024)
def _canonical(python: Any, torch: Any, cuda: Any, device: str, accelerator: str | None) -> str:
    environment = {"python": python, "torch": torch, "cuda": cuda, "device": device}
    if accelerator is not None:
        environment["accelerator"] = accelerator
    return json.dumps(environment, sort_keys=True, separators=(",", ":"))


def known_slots(state: EngineState, resources: Resources) -> int:
    """How many slots there are that could train a study; 1 where none is there yet."""
    there = [
        slot
        for worker in state.workers.values()
        if worker.state is WorkerState.LIVE
        for slot in worker.slots.values()
        if fits(slot, resources)
    ]
    return max(1, len(there))


def fits(slot: Slot, resources: Resources) -> bool:
    """Whether a slot has what a program asks for, whatever the environment."""
    if resources.cpus > slot.cpus:
        return False
    if resources.gpus is not None and (slot.gpus < resources.gpus or (resources.gpus == 0 and slot.gpus > 0)):
        return False
    return resources.accelerator in {None, "same", slot.model}


def suits(state: EngineState, plan: PlanState, worker: Worker, slot: Slot) -> bool:
    """Whether a slot can train a plan."""
    if not plan.studies:
        return False
    resources = state.studies[next(iter(plan.studies))].spec.program.resources
    if not fits(slot, resources):
        return False
    return plan.environment in {"", environment_of(worker, slot, resources)}


def offered(state: EngineState, resources: Resources) -> list[str]:
    """The environments that live workers' fitting slots offer; GPUs first, then in order of worker and slot."""
    found: dict[str, None] = {}
    for device in ("cuda", "cpu"):
        for name in sorted(state.workers):
            worker = state.workers[name]
            if worker.state is not WorkerState.LIVE:
                continue
            for slot in worker.slots.values():
                if slot.device == device and fits(slot, resources):
                    found[environment_of(worker, slot, resources)] = None
    return list(found)


def blocked_workers(state: EngineState) -> dict[str, str]:
    """The workers that cannot read their storage, or save what they train, and what it says."""
    unread = {name: worker.blocked for name, worker in sorted(state.workers.items()) if worker.blocked}
    leases = (lease for lease in state.leases.values() if lease.fence in state.hindered)
    return unread | {lease.worker: lease.blocked for lease in leases}


def takers(state: EngineState) -> list[Worker]:
    """The workers that are granted leases, by name: those that live, and that their storage does not block."""
    blocked = _blocked_by_leases(state)
    return [worker for _, worker in sorted(state.workers.items()) if _takes(worker, blocked)]


def idle_slots(state: EngineState) -> Iterator[tuple[Worker, Slot]]:
    """The slots that wait for a path and are granted leases, in order of worker and index."""
    blocked = _blocked_by_leases(state)
    for name, index in sorted(state.idle):
        worker = state.workers[name]
        if _takes(worker, blocked):
            yield worker, worker.slots[index]


def _blocked_by_leases(state: EngineState) -> set[str]:
    """The workers of which the storage holds up saves."""
    return {state.leases[fence].worker for fence in state.hindered if fence in state.leases}


def _takes(worker: Worker, blocked: Container[str]) -> bool:
    return worker.state is WorkerState.LIVE and not worker.blocked and worker.name not in blocked


def choose_plan(decision: Decision, study: Study) -> int:
    """The plan of a study that no lease has bound: in an environment that is there; else the newest; else a new one."""
    state = decision.state
    plans = [
        plan
        for plan in state.plans.values()
        if plan.project == study.project and plan.program_key == study.program_key and not is_over(plan)
    ]
    environments = offered(state, study.spec.program.resources)
    for environment in environments:
        for plan in plans:
            if plan.environment == environment:
                return plan.id
    bound = [plan for plan in plans if plan.environment]
    if not environments and bound:
        return bound[-1].id
    for plan in plans:
        if not plan.environment:
            return plan.id
    number = state.last_plan + 1
    decision.emit(
        PlanCreated(plan=number, project=study.project, program_key=study.program_key, environment="")
    )
    return number


def rebind_studies(decision: Decision) -> None:
    """Moves studies that no lease has bound out of plans whose environment no live worker offers."""
    state = decision.state
    for number in list(state.active):
        study = state.studies[number]
        if study.bound or not study.open:
            continue
        plan = state.plans[study.plan]
        environments = offered(state, study.spec.program.resources)
        if not plan.environment or not environments or plan.environment in environments:
            continue
        move_study(decision, study, choose_plan(decision, study))
        if not plan.studies:
            clear_plan(decision, plan)


def bind_plan(decision: Decision, plan: PlanState, environment: str) -> PlanState:
    """Settles a plan's environment; where another plan has it already, the studies move there."""
    for other in decision.state.plans.values():
        same = other.project == plan.project and other.program_key == plan.program_key
        if same and other.environment == environment and not is_over(other):
            for number in list(plan.studies):
                move_study(decision, decision.state.studies[number], other.id)
            return other
    decision.emit(PlanBound(plan=plan.id, environment=environment))
    return plan


def move_study(decision: Decision, study: Study, plan: int) -> None:
    """Plans a study's open requests anew in another plan."""
    decision.emit(StudyPlanned(study=study.id, plan=plan, bound=False))
    for number in sorted(study.open):
        trial = study.member(number)
        if trial.target is not None:
            open_request(decision, study, trial, trial.target, by_user=trial.by_user)
    decision.volatile.reopened[study.id] = None
    decision.state.touched_studies[study.id] = None


def clear_plan(decision: Decision, plan: PlanState) -> None:
    """Ends what runs in a plan that no study has any more, and drops its checkpoints."""
    for lease in [*decision.state.leases.values(), *decision.state.orphans.values()]:
        if lease.plan == plan.id:
            decision.emit(
                LeaseStateChanged(fence=lease.fence, state=LeaseState.REVOKED, reason="its study was deleted")
            )
    for node in plan.plan.nodes:
        kept = [(step, fence) for step, fences in node.checkpoints.items() for fence in fences]
        for step, fence in kept:
            decision.emit(
                CheckpointDropped(node=node.id, step=step, fence=fence, reason="its study was deleted")
            )


def is_over(plan: PlanState) -> bool:
    """Whether a plan has been trained in, and has no study any more."""
    return bool(plan.environment) and not plan.studies


__all__ = [
    "bind_plan",
    "blocked_workers",
    "choose_plan",
    "clear_plan",
    "environment_of",
    "fits",
    "idle_slots",
    "is_over",
    "move_study",
    "offered",
    "rebind_studies",
]
