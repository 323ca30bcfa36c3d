"""What the shells are to do: what workers ought to know, which files are to go, who is to propose or decide something.

All level-triggered.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from hippo_core.engine.alone import is_alone, makes_room
from hippo_core.engine.commands import CreateTrials
from hippo_core.engine.consultations import ConsultPolicy, policies_to_consult
from hippo_core.engine.growing import trials_to_create
from hippo_core.engine.judging import is_attentive
from hippo_core.engine.proposals import MakeProposal, proposals_to_make
from hippo_core.engine.state import EngineState, PlanState
from hippo_core.engine.states import WorkerState
from hippo_core.engine.terminators import MakeJudgement, judgements_to_make
from hippo_core.lease import Lease, Promise
from hippo_core.lease_order import LeaseOrder, PrepareOrder, StageOrder
from hippo_core.program import Program
from hippo_core.repeats import hyperparameter_laws, seed_in, with_seed
from hippo_core.sequence import Laws
from hippo_core.study import StudySpec

STALL_STEPS = 10.0  #: a path is stuck no sooner than after so many times what a step takes in the mean


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveCheckpoint:
    """Files of a checkpoint that no longer counts."""

    plan: int
    node: int
    step: int
    fence: int


Wanted = RemoveCheckpoint | CreateTrials | MakeProposal | MakeJudgement | ConsultPolicy
W = TypeVar("W", RemoveCheckpoint, CreateTrials, MakeProposal, MakeJudgement, ConsultPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """All that a worker ought to know now."""

    leases: tuple[LeaseOrder, ...] = ()
    offers: tuple[tuple[int, int, int], ...] = ()  #: fence, node, step
    stops: tuple[tuple[int, bool, str], ...] = ()  #: fence, whether to save, reason
    drain: bool = False
    make_room: bool = False  #: slots that idle let go of the trainers that they keep
    preparations: tuple[PrepareOrder, ...] = ()  #: all that hold now


def directives(state: EngineState, name: str, stall_seconds: float, known: Container[int] = ()) -> Directives:
    """What a worker ought to know now; the shell sends what it has not yet sent on this connection.

    Args:
        state: Not changed.
        name: The worker.
        stall_seconds: After how long without a step a path is stuck, where steps are not known to be slow.
        known: Fences whose orders are left out, since they were sent.
    """
    worker = state.workers.get(name)
    if worker is None:
        return Directives()
    leases = [state.leases[fence] for fence in sorted(chain(*(slot.queue for slot in worker.slots.values())))]
    return Directives(
        leases=tuple(order(state, lease, stall_seconds) for lease in leases if lease.fence not in known),
        offers=tuple(
            (lease.fence, node, step)
            for lease in leases
            for (node, step), promise in lease.promises.items()
            if promise is Promise.OFFERED
        ),
        stops=tuple((lease.fence, lease.stop_saves, lease.stop_reason) for lease in leases if lease.stopping),
        drain=worker.state is WorkerState.DRAINING,
        make_room=makes_room(state, name),
    )


def order(state: EngineState, lease: Lease, stall_seconds: float) -> LeaseOrder:
    """What the slot of a lease in training is to do; ``stall_seconds`` as in ``directives``."""
    plan = state.plans[lease.plan]
    spec, setup, program = _trained(state, lease)
    return LeaseOrder(
        fence=lease.fence,
        slot=lease.slot,
        plan=lease.plan,
        program=program,
        program_key=program.key,
        bundle=spec.bundle,
        setup_laws=hyperparameter_laws(setup),
        start=lease.start,
        in_memory=lease.in_memory,
        stages=tuple(
            StageOrder(node=node, start=start, stop=stop, laws=hyperparameter_laws(state.nodes[node].laws))
            for node, start, stop in lease.stages
        ),
        save_points=tuple(saved for saved, promise in lease.promises.items() if promise is Promise.GRANTED),
        checkpoint_every=spec.checkpoint_every,
        secrets=spec.secrets,
        objectives=tuple(each.metric for each in spec.observed),
        stall_seconds=_stall_seconds(plan, stall_seconds),
        watched=_is_watched(state, lease),
        alone=is_alone(state, lease.stages[lease.index :]),
        start_digest=_digest_of_start(state, lease),
    )


def _is_watched(state: EngineState, lease: Lease) -> bool:
    """Whether anything is decided by evaluations within a path's stages: by all of them, or where a request ends."""
    return is_attentive(state, lease.plan) or any(
        start < step < stop for node, start, stop in lease.stages for step in state.nodes[node].requests
    )


def preparation(state: EngineState, lease: Lease, slot: int, stall_seconds: float) -> PrepareOrder:
    """What a slot is made ready for that is to go on where a lease saves; ``stall_seconds`` as in ``directives``."""
    spec, setup, program = _trained(state, lease)
    return PrepareOrder(
        slot=slot,
        plan=lease.plan,
        program=program,
        program_key=program.key,
        bundle=spec.bundle,
        setup_laws=hyperparameter_laws(setup),
        secrets=spec.secrets,
        stall_seconds=_stall_seconds(state.plans[lease.plan], stall_seconds),
    )


def setup_of(state: EngineState, lease: Lease) -> tuple[str, Laws]:
    """What the trainer of a lease is made with: the key of its program, and the laws of its hyperparameters."""
    _, setup, program = _trained(state, lease)
    return program.key, hyperparameter_laws(setup)


def _trained(state: EngineState, lease: Lease) -> tuple[StudySpec, Laws, Program]:
    """The study that a lease is for, its laws at step 0, and the program: repeats have seeds of their own."""
    study = state.studies.get(lease.study)
    if study is None:
        study = state.studies[next(iter(state.plans[lease.plan].studies))]
    setup = state.nodes[lease.stages[0][0]].root().laws
    seed = seed_in(setup)
    return study.spec, setup, study.spec.program if seed is None else with_seed(study.spec.program, seed)


def _stall_seconds(plan: PlanState, stall_seconds: float) -> float:
    return max(stall_seconds, STALL_STEPS * plan.tree.costs.mean() if plan.tree.costs.steps else 0.0)


def _digest_of_start(state: EngineState, lease: Lease) -> str:
    if lease.start is None:
        return ""
    node, step, fence = lease.start
    kept = state.nodes[node].checkpoints.get(step, {}).get(fence)
    return "" if kept is None else kept.digest


def wanted(state: EngineState) -> tuple[Wanted, ...]:
    """Work for the shell: files that are to go until ``Engine.removed`` is told, the rest until it comes."""
    return tuple(chain.from_iterable(look(state) for look in _WANTED.values()))


def wanted_of(state: EngineState, kind: type[W]) -> tuple[W, ...]:
    """What is wanted of one kind, without a look at the others: there may be very many files that are to go."""
    return tuple(_WANTED[kind](state))


def _removals(state: EngineState) -> Iterator[RemoveCheckpoint]:
    for (node, step, fence), plan in state.dropped.items():
        yield RemoveCheckpoint(plan=plan, node=node, step=step, fence=fence)


_WANTED: Mapping[type[Wanted], Callable[[EngineState], Iterator[Any]]] = {
    RemoveCheckpoint: _removals,
    CreateTrials: trials_to_create,
    MakeProposal: proposals_to_make,
    MakeJudgement: judgements_to_make,
    ConsultPolicy: policies_to_consult,
}
