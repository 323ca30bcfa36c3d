"""The part of ``apply`` that is about trials and their requests."""

from __future__ import annotations

from typing import assert_never

from hippo_core.engine import events as ev
from hippo_core.engine.boundaries import note_boundaries
from hippo_core.engine.evaluations import (
    AT_REST,
    closing_of,
    closing_of_point,
    led,
    objective_values,
    renew_policy,
    tell_upto,
)
from hippo_core.engine.known import Created, Opened
from hippo_core.engine.partings import forget_parting, note_parting
from hippo_core.engine.policy_calls import Added, Ended, Forked, Noted, Observed, Probed, Probing, Requested
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import (
    ENDED_TRIAL_STATES,
    TRIAL_TRANSITIONS,
    RequestState,
    TrialState,
)
from hippo_core.engine.study import Study
from hippo_core.engine.transitions import follow
from hippo_core.engine.trial import Trial
from hippo_core.policies import Values
from hippo_core.probes import probe_of
from hippo_core.repeats import first_of, repeat_of, trial_of

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


def apply_trial(state: EngineState, event: TrialEvent) -> None:
    """A trial changes."""
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
        remove_request(state, study, trial)
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


def close_request(state: EngineState, event: ev.RequestClosed) -> None:
    """A trial has the state that it needed, or will not get it."""
    study = state.studies[event.study]
    trial = study.member(event.trial)
    node = trial.node
    remove_request(state, study, trial)
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


def remove_request(state: EngineState, study: Study, trial: Trial) -> None:
    """A trial needs no state any more."""
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
