"""``apply``: changes the state by one event, and decides nothing.

Each function takes the state and one kind of event. The stage trees are told here what they must look at again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, assert_never, get_args

from hippo_core.engine import events as ev
from hippo_core.engine import fold_accounts, fold_endings, fold_training
from hippo_core.engine.boundaries import forget_boundaries, note_boundaries
from hippo_core.engine.evaluations import (
    AT_REST,
    begin_history,
    closing_of,
    closing_of_point,
    led,
    objective_values,
    renew_policy,
    tell_upto,
)
from hippo_core.engine.known import Created, Opened
from hippo_core.engine.partings import forget_parting, move_partings, note_parting
from hippo_core.engine.points import drawn_otherwise, points_in
from hippo_core.engine.policy_calls import Added, Ended, Forked, Noted, Observed, Probed, Probing, Requested
from hippo_core.engine.state import Answered, EngineState, PlanState, Proposal, Study, Trial
from hippo_core.engine.states import (
    ENDED_TRIAL_STATES,
    STUDY_TRANSITIONS,
    TRIAL_TRANSITIONS,
    RequestState,
    StudyState,
    TrialState,
)
from hippo_core.engine.transitions import follow
from hippo_core.plan import Plan
from hippo_core.policies import Values
from hippo_core.probes import probe_of
from hippo_core.repeats import first_of, repeat_of, trial_of
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
            del state.names[study.project, study.name]
            state.active.pop(study.id, None)
            state.owners.pop(study.id, None)
            state.plans[study.plan].studies.pop(study.id, None)
            state.touched_studies.pop(study.id, None)
            for trial in study.branches():
                _remove_request(state, study, trial)
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


TrialEvent = ev.TrialLimited | ev.TrialStopped | ev.TrialWanted | ev.TrialStateChanged


def create_trial(state: EngineState, event: ev.TrialCreated | Created) -> None:
    """A trial was proposed."""
    study = state.studies[event.study]
    repeat, probe = repeat_of(event.trial), probe_of(event.trial)
    trials = study.probes if probe else study.repeats if repeat else study.trials
    trials[event.trial] = study.made(event)
    if repeat or probe:
        return
    fork = event.fork
    horizon = trials[event.trial].horizon
    if fork is not None and "instead_of" in fork:
        study.forks += 1
    elif fork is not None or (event.enqueued and not study.spec.sampler.learns):
        study.beside[horizon] = study.beside.get(horizon, 0) + 1
        if study.spec.policy.counts_trials:
            renew_policy(state, study)
    else:
        study.points[horizon] = study.points.get(horizon, 0) + 1
        study.proposal = None
        if study.exhausted and study.spec.policy.counts_trials:
            renew_policy(state, study)  # a user's, beside the points of the space
    if (ask := event.notes.get("ask")) is not None:
        study.asks[ask] = event.trial
    if event.notes:
        state.tell(study, Noted(event.trial, event.notes))
    if fork is None:
        state.tell(study, Added(event.trial, event.max_steps))
    else:
        instead_of = fork.get("instead_of")
        state.tell(study, Forked(event.trial, event.max_steps, fork["trial"], fork["at"], instead_of))


def _apply_trial(state: EngineState, event: TrialEvent) -> None:
    study = state.studies[event.study]
    match event:
        case ev.TrialLimited():
            study.member(event.trial).max_steps = event.max_steps
            note_parting(state, study, study.member(event.trial))
            if not repeat_of(event.trial):
                state.tell(study, Added(event.trial, event.max_steps))
        case ev.TrialStopped():
            study.trials[event.trial].stopped_by_user = True
            state.tell(study, Ended(event.trial))
        case ev.TrialWanted():
            trial = study.member(event.trial)
            trial.wanted = event.step
            _note_wish(study, trial)
            state.touched_studies[study.id] = None
        case ev.TrialStateChanged():
            trial = study.member(event.trial)
            follow(TRIAL_TRANSITIONS, trial.state, event.state)
            if trial.fork is None and not trial.repeat:
                completed = TrialState.COMPLETED
                study.completed += (event.state is completed) - (trial.state is completed)
            trial.state, trial.reason = event.state, event.reason
            if event.state in ENDED_TRIAL_STATES:
                forget_parting(state, study, trial)
            if event.state in AT_REST and trial.is_itself:
                study.policy.stopped(trial.number)
            state.touched_studies[study.id] = None
        case _:
            assert_never(event)


def open_request(state: EngineState, event: ev.RequestOpened | Opened, *, waits: bool = True) -> None:
    """A trial needs a state; not ``waits``: it has come, and how is told further on."""
    study = state.studies[event.study]
    trial = study.member(event.trial)
    moved = (trial.target, trial.by_user) == (event.step, event.by_user)
    if trial.target is not None:
        _remove_request(state, study, trial)
    node = state.nodes[event.node]
    if waits:
        hurries = event.by_user or study.policy.hurries
        beyond = 0 if hurries else _steps_beyond(study, trial, event.step)
        node.ask(event.step, study.id, trial.number, beyond)
        state.tree_of(node).mark(node.id)
        state.touched_requests[study.id, trial.number] = None
        state.touched_plans[node.plan] = None
    trial.target, trial.node, trial.by_user, trial.stopped_by_user = event.step, node, event.by_user, False
    if not event.by_user:
        trial.asked = max(trial.asked, event.step)
    study.open[trial.number] = None
    note_parting(state, study, trial)
    note_boundaries(state, study, trial)
    if study.policy.watches and not trial.probe:
        study.untold[trial_of(trial.number)] = None
        if moved:
            study.outdated = True  # what it was told on the way was of another plan
            first = study.trials[trial_of(trial.number)]
            first.told = min(first.told, first.observed)
            state.touched_studies[study.id] = None
    if not moved and not event.by_user and not trial.repeat:
        state.tell(study, _probing(trial) if trial.probe else Requested(trial.number, event.step))


def _steps_beyond(study: Study, trial: Trial, step: int) -> int:
    """How many steps follow a request for sure, where its policy waits for all: somebody goes on to its last step."""
    if trial.fork is not None and trial.probe:
        return max(0, study.trials[trial.fork["trial"]].limit - int(trial.fork["at"]))
    return max(0, trial.limit - step)


def _close_request(state: EngineState, event: ev.RequestClosed) -> None:
    study = state.studies[event.study]
    trial = study.member(event.trial)
    node = trial.node
    _remove_request(state, study, trial)
    trial.outcome = event.state
    study.touched[first_of(trial.number)] = None
    state.touched_studies[study.id] = None
    state.last_sequence = max(state.last_sequence, event.sequence)
    if node is not None and event.reached >= trial.reached:
        trial.reached = event.reached
        trial.reached_node = node.owner(event.reached) if event.reached > 0 else None
        trial.value = event.value
    elif node is not None and trial.reached_node is not None and trial.reached_node.plan == node.plan:
        trial.node = trial.reached_node
    _note_wish(study, trial)
    if not trial.by_user:
        trial.led = max(trial.led, event.reached)
    members = study.members(trial.number)
    watches = study.policy.watches and not trial.probe
    if watches:
        study.untold[members[0].number] = None
    if any(each.target is not None and each.by_user == trial.by_user for each in members):
        return  # the others of its point are on their way
    closing = closing_of(study, node, event) if len(members) == 1 else closing_of_point(study, members, event)
    study.closings.append(closing)
    first = members[0]
    first.closed = event.sequence
    leaf = first.leaf if len(members) > 1 else node
    if trial.probe:
        values = closing.values if closing.state is RequestState.REACHED else None
        state.tell(study, _probed(trial, values))
        return
    if watches and leaf is not None:
        tell_upto(study, first, leaf, min(map(led, members)))
    if closing.state in {RequestState.REACHED, RequestState.DIVERGED} and not trial.by_user:
        assert leaf is not None
        if len(members) == 1:
            values, model = closing.values, leaf.owner(event.reached).id
            if closing.step != event.reached:
                values = objective_values(study, leaf, event.reached)
        elif closing.state is RequestState.REACHED:
            values, model = closing.values, leaf.owner(event.step).id
        else:
            values, model = None, leaf.id
        state.tell(study, Observed(first.number, event.step, values, model, first.observed))
        first.observed = max(first.observed, closing.reached)
    if closing.state in {RequestState.DIVERGED, RequestState.INFEASIBLE, RequestState.FAILED}:
        state.tell(study, Ended(first.number))


def _probing(probe: Trial) -> Probing:
    assert probe.fork is not None
    return Probing(probe.fork["trial"], probe.fork["at"], probe.max_steps)


def _probed(probe: Trial, values: Values | None) -> Probed:
    assert probe.fork is not None
    return Probed(probe.fork["trial"], probe.fork["at"], probe.max_steps, values)


def _note_wish(study: Study, trial: Trial) -> None:
    """Lists a trial, or does no more, among those that users want trained further."""
    if trial.wanted > trial.reached:
        study.wishes[trial.number] = None
    else:
        study.wishes.pop(trial.number, None)


def _remove_request(state: EngineState, study: Study, trial: Trial) -> None:
    node, step = trial.node, trial.target
    if node is None or step is None:
        return
    trial.target = None
    study.open.pop(trial.number, None)
    if (study.id, trial.number) not in node.requests.get(step, ()):
        return  # it was told as one that has passed
    node.ask_no_more(step, study.id, trial.number)
    state.touched_requests.pop((study.id, trial.number), None)
    state.tree_of(node).mark(node.id)
    state.touched_plans[node.plan] = None


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
        (ev.TrialCreated, create_trial),
        (ev.RequestOpened, open_request),
        (ev.RequestClosed, _close_request),
        (TrialEvent, _apply_trial),
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
