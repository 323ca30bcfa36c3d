"""Why studies and trials wait, in words."""

from __future__ import annotations

from hippo_core.engine.account_views import turn_in_words
from hippo_core.engine.consultations import awaits_answer
from hippo_core.engine.environments import blocked_workers, environment_of, fits, suits
from hippo_core.engine.outside import wants_in_words
from hippo_core.engine.policy_answers import policy_in_words
from hippo_core.engine.proposals import proposal_in_words
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import NO_WORKER, FailureClass, StudyState, TrialState, WorkerState
from hippo_core.engine.study import Study
from hippo_core.engine.terminators import failure_in_words
from hippo_core.plan import Failures


def waiting_reason(state: EngineState, study: Study) -> str:
    """What a running study waits for, or is trying again; empty where it is simply being trained."""
    if study.state is not StudyState.RUNNING:
        return ""
    if awaits_answer(study) and (study.policy_failures or not study.open):
        live = any(worker.state is WorkerState.LIVE for worker in state.workers.values())
        return policy_in_words(study) if live or study.policy_failures else NO_WORKER
    if study.proposal is not None and (study.proposal.failures or not study.open):
        return proposal_in_words(study)
    if blocked := _blocked_reason(state, study):
        return blocked
    failures = _latest_failures(state, study)
    if failures is not None and not _unserved_reason(state, study):
        full = FailureClass.STORAGE.value in failures.counts
        return f"{'blocked' if full else 'being tried again after a failure'}: {failures.message}"
    unserved = (_unserved_reason(state, study) if study.open else "") or turn_in_words(state, study)
    if unserved or study.wants_points:
        return unserved or wants_in_words(study)
    trains = any(lease.plan == study.plan for lease in state.leases.values())
    growing = "" if trains else _growing_reason(state, study)
    return growing or failure_in_words(study) or ("" if study.open else _resting_reason(study))


def _growing_reason(state: EngineState, study: Study) -> str:
    """That trials are still to be created before a path of the study's program begins; empty: it is not so."""
    for each in state.growing:
        growing = state.studies[each]
        if growing.plan == study.plan and each in state.active:
            whose = (
                "its trials"
                if growing is study
                else f"the trials of study '{growing.name}', which may share,"
            )
            return f"{growing.coming:,} of {whose} are still being created"
    return ""


def _resting_reason(study: Study) -> str:
    """What a study waits for whose trials rest until a user says more."""
    if not study.policy.patient:
        return ""
    resting = sum(trial.state is TrialState.PAUSED for trial in study.trials.values())
    if not resting:
        return ""
    rests = "trial rests" if resting == 1 else "trials rest"
    return f"{resting} {rests} until a user decides: hippo trial extend {study.name}, hippo trial stop {study.name}"


def trials_waiting_reason(state: EngineState, study: Study) -> str:
    """Why those trials of a study wait that wait; empty where they wait for their turn."""
    if study.state is StudyState.PAUSED:
        return "the study is paused"
    if study.state is not StudyState.RUNNING or not study.open:
        return ""
    return _unserved_reason(state, study) or turn_in_words(state, study) or _growing_reason(state, study)


def _unserved_reason(state: EngineState, study: Study) -> str:
    """Why no slot can train for the study; empty where one does or could."""
    plan = state.plans[study.plan]
    if any(lease.plan == plan.id for lease in state.leases.values()):
        return ""
    resources = study.spec.program.resources
    live = [worker for worker in state.workers.values() if worker.state is WorkerState.LIVE]
    if not live:
        return NO_WORKER
    slots = [(worker, slot) for worker in live for slot in worker.slots.values()]
    fitting = [(worker, slot) for worker, slot in slots if fits(slot, resources)]
    if not fitting:
        cpus, gpus = max(slot.cpus for _, slot in slots), max(slot.gpus for _, slot in slots)
        asked = f"cpus {resources.cpus}, gpus {resources.gpus if resources.gpus is not None else 'any'}"
        return f"no slot fits: the study asks for {asked}; the largest slot has cpus {cpus}, gpus {gpus}"
    if all(slot.cordoned for _, slot in fitting):
        worker, slot = fitting[0]
        return (
            f"every slot that fits is cordoned; slot {slot.index} of {worker.name}: {slot.cordoned}. "
            "hippo worker uncordon lets them be used again"
        )
    blocked = blocked_workers(state)
    if all(worker.name in blocked for worker, _ in fitting):
        name = fitting[0][0].name
        return _blocked(name, blocked[name])
    offers = sorted({environment_of(worker, slot, resources) for worker, slot in fitting})
    if plan.environment and plan.environment not in offers:
        return (
            f"no worker has its environment {plan.environment}; there are {', '.join(offers)}. "
            "Start a worker with it, or submit the study under another name to train anew"
        )
    return ""


def _blocked_reason(state: EngineState, study: Study) -> str:
    """What the storage says that holds up a study's saves, or keeps a worker from training it; empty: neither."""
    for lease in state.leases.values():
        if lease.plan == study.plan and lease.blocked:
            return _blocked(lease.worker, lease.blocked)
    plan = state.plans[study.plan]
    for name, worker in sorted(state.workers.items()):
        could = worker.blocked and worker.state is WorkerState.LIVE and study.open
        if could and any(suits(state, plan, worker, slot) for slot in worker.slots.values()):
            return _blocked(name, worker.blocked)
    return ""


def _blocked(worker: str, why: str) -> str:
    return f"blocked: storage: worker {worker}: {why}"


def _latest_failures(state: EngineState, study: Study) -> Failures | None:
    """The failures on the way of an open trial that has not been overcome."""
    for number in study.open if state.failing else ():
        leaf = study.member(number).node
        if leaf is None:
            continue
        for node in leaf.ancestry():
            if node.failures is not None:
                return node.failures
    return None
