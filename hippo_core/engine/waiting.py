"""Why a study waits, in words."""

from __future__ import annotations

from hippo_core.engine.environments import environment_of, fits
from hippo_core.engine.state import EngineState, Study
from hippo_core.engine.states import StudyState, WorkerState


def waiting_reason(state: EngineState, study: Study) -> str:
    """Why nothing of a running study is being trained; empty where something is, or nothing waits."""
    if study.state is not StudyState.RUNNING or not study.open:
        return ""
    plan = state.plans[study.plan]
    for number in sorted(plan.tree.blocked):
        failures = state.nodes[number].failures
        if failures is not None and study.id in state.nodes[number].open:
            return f"held back for a moment after a failure: {failures.message}"
    if any(lease.plan == plan.id for lease in state.leases.values()):
        return ""
    resources = study.spec.program.resources
    live = [worker for worker in state.workers.values() if worker.state is WorkerState.LIVE]
    if not live:
        return "no worker is there"
    slots = [(worker, slot) for worker in live for slot in worker.slots.values()]
    fitting = [(worker, slot) for worker, slot in slots if fits(slot, resources)]
    if not fitting:
        cpus, gpus = max(slot.cpus for _, slot in slots), max(slot.gpus for _, slot in slots)
        asked = f"cpus {resources.cpus}, gpus {resources.gpus if resources.gpus is not None else 'any'}"
        return f"no slot fits: the study asks for {asked}; the largest slot has cpus {cpus}, gpus {gpus}"
    offers = sorted({environment_of(worker, slot, resources) for worker, slot in fitting})
    if plan.environment and plan.environment not in offers:
        return (
            f"no worker has its environment {plan.environment}; there are {', '.join(offers)}. "
            "Start a worker with it, or submit the study under another name to train anew"
        )
    return ""
