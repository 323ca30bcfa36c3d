"""``apply``: changes the state by one event, and decides nothing.

Each function takes the state and one kind of event. The stage trees are told here what they must look at again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, assert_never, get_args

from hippo_core.engine import events as ev
from hippo_core.engine import fold_accounts, fold_endings, fold_training, fold_trials
from hippo_core.engine.boundaries import forget_boundaries
from hippo_core.engine.evaluations import (
    begin_history,
    renew_policy,
)
from hippo_core.engine.partings import forget_parting, move_partings
from hippo_core.engine.points import drawn_otherwise, points_in
from hippo_core.engine.state import EngineState, PlanState
from hippo_core.engine.states import (
    STUDY_TRANSITIONS,
    StudyState,
)
from hippo_core.engine.study import Answered, Proposal, Study
from hippo_core.engine.transitions import follow
from hippo_core.plan import Plan
from hippo_core.study import StudySpec
from hippo_core.tree import StageTree


def apply(state: EngineState, event: ev.Event) -> None:
    """Changes the state by one event."""
    state.story.append(event)
    _FOLDS[type(event)](state, event)


StudyEvent = (
    ev.StudySubmitted
    | ev.StudyChanged
    | ev.StudyStateChanged
    | ev.StudyDeleted
    | ev.StudyPlanned
    | ev.StudyCredited
)


def _apply_study(state: EngineState, event: StudyEvent) -> None:
    match event:
        case ev.StudySubmitted():
            _submit(state, event)
        case ev.StudyChanged():
            _change(state, state.studies[event.study], StudySpec.from_json(event.spec))
        case ev.StudyStateChanged():
            study = state.studies[event.study]
            follow(STUDY_TRANSITIONS, study.state, event.state)
            study.state, study.reason = event.state, event.reason
            if event.state is StudyState.RUNNING:
                state.active[study.id], state.owners[study.id] = study.spec.priority, study.user
            else:
                state.active.pop(study.id, None)
                state.owners.pop(study.id, None)
                study.wants_points = False
            _mark_requests(state, study)
            state.touched_studies[study.id] = None
        case ev.StudyDeleted():
            study = state.studies.pop(event.study)
            state.growing.pop(study.id, None)
            del state.names[study.project, study.name]
            state.active.pop(study.id, None)
            state.owners.pop(study.id, None)
            state.plans[study.plan].studies.pop(study.id, None)
            state.touched_studies.pop(study.id, None)
            for trial in study.branches():
                fold_trials.remove_request(state, study, trial)
                forget_parting(state, study, trial)
            forget_boundaries(state, study)
            fold_training.forget_pins(state, study.id)
        case ev.StudyPlanned():
            study = state.studies[event.study]
            if study.plan:
                state.plans[study.plan].studies.pop(study.id, None)
            study.plan, study.bound = event.plan, event.bound
            state.plans[event.plan].studies[study.id] = None
        case ev.StudyCredited():
            fold_accounts.bill(state, event)
            credited = state.studies.get(event.study)
            if credited is None:
                return
            credited.steps_trained += event.steps_trained
            credited.steps_retrained += event.steps_retrained
            credited.seconds += event.seconds
            credited.billed += event.billed
            credited.billed_gpus += event.billed_gpus
            if credited.spec.endings:
                state.touched_studies[credited.id] = None
        case _:
            assert_never(event)


def _submit(state: EngineState, event: ev.StudySubmitted) -> None:
    spec = StudySpec.from_json(event.spec)
    state.studies[event.study] = Study(
        id=event.study,
        project=event.project,
        user=event.user,
        name=event.name,
        program_key=event.program_key,
        spec=spec,
        policy=spec.build_policy(),
    )
    state.names[event.project, event.name] = event.study
    state.active[event.study], state.owners[event.study] = spec.priority, event.user
    state.last_study = max(state.last_study, event.study)
    state.touched_studies[event.study] = None
    state.growing[event.study] = None


def _change(state: EngineState, study: Study, spec: StudySpec) -> None:
    before, study.spec = study.spec, spec
    study.former.append(before)
    if drawn_otherwise(before, spec):
        study.spaces += 1
        for number, point in points_in(spec.space, study).items():
            study.trials[number].move(point)
        if not spec.sampler.learns:
            study.proposal = None
    if spec.policy != before.policy:
        begin_history(study)
    renew_policy(state, study)
    if study.id in state.active and spec.priority != before.priority:
        state.active[study.id] = spec.priority
        _mark_requests(state, study)
    state.touched_plans[study.plan] = None
    state.touched_studies[study.id] = None
    state.growing[study.id] = None


def _mark_requests(state: EngineState, study: Study) -> None:
    for number in study.open:
        node = study.member(number).node
        if node is not None:
            state.tree_of(node).mark(node.id)
    state.touched_plans[study.plan] = None


PlanEvent = ev.PlanCreated | ev.PlanBound | ev.NodeCreated


def _apply_plan(state: EngineState, event: PlanEvent) -> None:
    match event:
        case ev.PlanCreated():
            plan = Plan(event.plan, state.nodes)
            state.plans[event.plan] = PlanState(
                id=event.plan,
                project=event.project,
                program_key=event.program_key,
                environment=event.environment,
                plan=plan,
                tree=StageTree(plan, state.active, state.owners),
            )
            state.last_plan = max(state.last_plan, event.plan)
        case ev.PlanBound():
            state.plans[event.plan].environment = event.environment
        case ev.NodeCreated():
            parent = None if event.parent is None else state.nodes[event.parent]
            plan = state.plans[event.plan].plan
            move_partings(state, plan.add(event.node, parent, event.start, event.laws))
            state.last_node = max(state.last_node, event.node)
        case _:
            assert_never(event)


ProposalEvent = ev.ProposalWanted | ev.ProposalFailed | ev.SpaceExhausted | ev.PointsWanted


def _apply_proposal(state: EngineState, event: ProposalEvent) -> None:
    study = state.studies[event.study]
    match event:
        case ev.ProposalWanted():
            study.proposal = Proposal(event.trial, event.sequence, tuple(event.pending), event.max_steps)
        case ev.ProposalFailed():
            assert study.proposal is not None
            study.proposal = replace(study.proposal, failures=event.failures, reason=event.reason)
            state.touched_studies[study.id] = None
        case ev.SpaceExhausted():
            study.exhausted, study.proposal = event.points, None
            renew_policy(state, study)  # there are fewer trials to wait for
            state.touched_studies[study.id] = None
        case ev.PointsWanted():
            study.wants_points = event.wanted
        case _:
            assert_never(event)


PolicyEvent = ev.PolicyAnswered | ev.PolicyFailed | ev.PolicyForgiven


def _apply_policy(state: EngineState, event: PolicyEvent) -> None:
    study = state.studies[event.study]
    match event:
        case ev.PolicyAnswered():
            study.answers.append(Answered(event.mark, event.max_trials, event.finish))
            study.policy_failures, study.policy_failure = 0, ""
        case ev.PolicyFailed():
            study.policy_failures, study.policy_failure = event.failures, event.reason
        case ev.PolicyForgiven():
            study.policy_failures, study.policy_failure = 0, ""
        case _:
            assert_never(event)
    state.touched_studies[study.id] = None


def _skip_fences(state: EngineState, event: ev.FencesSkipped) -> None:
    state.last_fence = max(state.last_fence, event.fence)


_FOLDS: dict[type, Callable[[EngineState, Any], None]] = {
    kind: fold
    for events, fold in (
        (fold_training.TrainingEvent, fold_training.apply_training),
        (fold_training.LeaseEvent, fold_training.apply_lease),
        (fold_training.WorkerEvent, fold_training.apply_worker),
        (fold_training.CheckpointEvent, fold_training.apply_checkpoint),
        (ev.CheckpointPinned | ev.CheckpointUnpinned, fold_training.apply_pin),
        (ev.TrialCreated, fold_trials.create_trial),
        (ev.RequestOpened, fold_trials.open_request),
        (ev.RequestClosed, fold_trials.close_request),
        (fold_trials.TrialEvent, fold_trials.apply_trial),
        (StudyEvent, _apply_study),
        (fold_endings.EndingEvent, fold_endings.apply_ending),
        (fold_accounts.AccountEvent, fold_accounts.apply_account),
        (PlanEvent, _apply_plan),
        (ProposalEvent, _apply_proposal),
        (PolicyEvent, _apply_policy),
        (ev.FencesSkipped, _skip_fences),
    )
    for kind in get_args(events) or (events,)
}
"""By kind of event: each function matches its own exhaustively, and a test that all kinds are here."""
