"""The durable state of an engine in canonical form, to compare one that lived with one that was rebuilt."""

from __future__ import annotations

from hippo_core.engine.state import Account, EngineState, Worker
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.lease import Lease
from hippo_core.plan import Node

SECOND_DIGITS = 6


def snapshot(state: EngineState) -> dict[str, object]:
    """What must survive a restart. What a runner holds in memory, deadlines and the story need not."""
    return {
        "accounts": {key: _account(state.accounts[key]) for key in sorted(state.accounts)},
        "checkpoint_bytes": {name: size for name, size in sorted(state.checkpoint_bytes.items()) if size},
        "studies": {study.id: _study(study) for study in state.studies.values()},
        "plans": {
            plan.id: (plan.project, plan.program_key, plan.environment, sorted(plan.studies))
            for plan in state.plans.values()
        },
        "nodes": {node.id: _node(node) for node in state.nodes.values()},
        "workers": {worker.name: _worker(worker) for worker in state.workers.values()},
        "leases": {lease.fence: _lease(lease) for lease in state.leases.values()},
        "orphans": {fence: _lease(state.orphans[fence]) for fence in sorted(state.orphans)},
        "pins": {pinned: sorted(state.pins[pinned]) for pinned in sorted(state.pins)},
        "last": (state.last_study, state.last_plan, state.last_node, state.last_fence, state.last_sequence),
    }


def _account(account: Account) -> tuple[object, ...]:
    return (account.allowance.to_json(), account.billed, account.billed_gpus, account.passed)


def _study(study: Study) -> dict[str, object]:
    return {
        "name": (study.project, study.name, study.user, study.program_key),
        "state": (study.state.value, study.reason),
        "spec": study.spec.to_json(),
        "plan": (study.plan, study.bound),
        "open": sorted(study.open),
        "boundaries": sorted(study.boundaries),
        "proposal": study.proposal,
        "exhausted": study.exhausted,
        "wants_points": study.wants_points,
        "closings": study.closings,
        "policy": _policy(study),
        "ran": round(study.ran_seconds, SECOND_DIGITS),
        "ending": (study.ending, study.ending_reason),
        "judgement": study.judgement,
        "changed": ([spec.to_json() for spec in study.former], study.spaces),
        "trained": (study.steps_trained, study.steps_retrained, round(study.seconds, SECOND_DIGITS)),
        "billed": (study.billed, study.billed_gpus),
        "trials": {trial.number: _trial(study, trial) for trial in study.branches()},
    }


def _policy(study: Study) -> object:
    """What a user's own policy was told, and what it has come to."""
    if not study.answers and not study.policy_failures:
        return None
    return (study.history, study.answers, study.policy_failures, study.policy_failure)


def _trial(study: Study, trial: Trial) -> tuple[object, ...]:
    return (
        dict(trial.assignment),
        study.hyperparameters(trial),
        trial.point,
        trial.max_steps,
        trial.state.value,
        trial.reason,
        (trial.stopped_by_user, trial.wanted, trial.by_user, trial.led),
        trial.target,
        trial.asked,
        None if trial.node is None else trial.node.id,
        (trial.reached, trial.closed),
        None if trial.reached_node is None else trial.reached_node.id,
        trial.value,
        dict(trial.notes),
        trial.fork,
        trial.enqueued,
    )


def _node(node: Node) -> dict[str, object]:
    return {
        "place": (
            node.plan,
            None if node.parent is None else node.parent.id,
            node.start,
            node.laws.to_json(),
        ),
        "trained": (node.trained, node.steps, round(node.seconds, SECOND_DIGITS)),
        "metrics": {step: node.metrics[step] for step in sorted(node.metrics)},
        "training": {step: node.training[step] for step in sorted(node.training)},
        "checkpoints": {
            step: {
                fence: (kept.size_bytes, kept.digest)
                for fence, kept in sorted(node.checkpoints[step].items())
            }
            for step in sorted(node.checkpoints)
        },
        "requests": {step: sorted(node.requests[step]) for step in sorted(node.requests)},
        "open": dict(sorted(node.open.items())),
        "not_reproducible": node.not_reproducible,
        "failures": None
        if node.failures is None
        else (
            node.failures.step,
            dict(sorted(node.failures.counts.items())),
            dict(sorted(node.failures.deaths.items())),
        ),
    }


def _worker(worker: Worker) -> dict[str, object]:
    return {
        "who": (worker.incarnation, worker.host, worker.state.value, worker.reason, worker.blocked),
        "environment": dict(worker.environment),
        "labels": dict(worker.labels),
        "slots": {
            slot.index: (
                *(slot.device, slot.model, slot.cpus, slot.gpus, tuple(slot.queue)),
                *(slot.cordoned, slot.cordoned_by_user),
            )
            for slot in worker.slots.values()
        },
    }


def _lease(lease: Lease) -> tuple[object, ...]:
    return (
        lease.worker,
        lease.incarnation,
        lease.slot,
        lease.plan,
        lease.study,
        lease.user,
        lease.stages,
        lease.start,
        lease.in_memory,
        lease.state.value,
        (lease.index, lease.step),
        lease.report,
        {state: promise.value for state, promise in sorted(lease.promises.items())},
        (lease.stopping, lease.stop_saves, lease.stop_reason),
        lease.blocked,
    )
