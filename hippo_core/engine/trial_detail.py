"""One trial with all that is known of it: its history, its path, its repeats, its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.engine.engine import Engine
from hippo_core.engine.evaluations import progress
from hippo_core.engine.explanation import Stretch
from hippo_core.engine.lookup import find_study, find_trial
from hippo_core.engine.node_states import node_state
from hippo_core.engine.probe_views import (
    ProbeView,
    probe_views,
)
from hippo_core.engine.spread import evaluations, point_evaluations, step_of
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_paths import (
    CheckpointRef,
    checkpoints_of,
    find_checkpoint,
    going_through,
    is_running,
    leaves,
    walk,
)
from hippo_core.engine.trial_views import TrialView, view_of_trial
from hippo_core.engine.waiting import trials_waiting_reason
from hippo_core.plan import Metrics
from hippo_core.repeats import seed_of
from hippo_core.study import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationView:
    """The metrics of a state."""

    step: int
    metrics: Metrics
    spread: Metrics = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatView:
    """One repeat of a trial."""

    repeat: int
    seed: int
    state: TrialState
    step: int
    history: tuple[EvaluationView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPartView:
    """A stretch of a trial's path."""

    node: int
    start: int
    stop: int
    trial_count: int
    not_reproducible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialDetail:
    """One trial, with all that is known of it."""

    trial: TrialView
    history: tuple[EvaluationView, ...]
    training: tuple[EvaluationView, ...]
    values: tuple[Mapping[str, Any], ...]
    path: tuple[PathPartView, ...]
    checkpoints: tuple[CheckpointRef, ...]
    program_key: str
    environment: str
    repeats: tuple[RepeatView, ...]  #: empty without repeats
    probes: tuple[ProbeView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPath:
    """One trial with its path, and the studies whose trials may share it."""

    study: int
    spec: StudySpec
    names: Mapping[int, str]
    path: tuple[Stretch, ...]
    ancestors: tuple[int, ...]  #: the trials that it was forked from, one from another
    measured: Mapping[int, Metrics]  #: by step
    trial: TrialView
    probes: tuple[ProbeView, ...]


def trial_detail(engine: Engine, project: str, name: str, number: int) -> TrialDetail:
    """One trial with its history, values and path."""
    study = find_study(engine.state, project, name)
    trial = find_trial(study, number)
    step = step_of(study, trial)
    plan = engine.state.plans[study.plan]
    sequence = trial.sequence
    return TrialDetail(
        trial=view_of_trial(engine.state, study, trial, _waits_for(engine.state, study, trial)),
        history=tuple(
            EvaluationView(step=each, metrics=metrics, spread=spread)
            for each, metrics, spread in point_evaluations(study, trial, step)
        ),
        training=tuple(
            EvaluationView(step=each, metrics=node.training[each])
            for node, start, stop in walk(trial, step)
            for each in sorted(node.training)
            if start < each <= stop
        ),
        values=tuple(sequence.values(each) for each in range(step)),
        path=tuple(
            PathPartView(
                node=node.id,
                start=start,
                stop=stop,
                trial_count=sum(1 for each in going_through(study, node, start + 1)),
                not_reproducible=node.not_reproducible,
            )
            for node, start, stop in walk(trial, trial.target or trial.reached)
        ),
        checkpoints=tuple(checkpoints_of(plan.id, trial, step)),
        program_key=study.program_key,
        environment=plan.environment,
        repeats=_repeats(engine.state, study, trial),
        probes=probe_views(engine.state, study, trial),
    )


def _waits_for(state: EngineState, study: Study, trial: Trial) -> str:
    """What a trial waits for, if it does: what the first node of its path does that is not trained as far."""
    waiting, tree = trials_waiting_reason(state, study), state.plans[study.plan].tree
    for node, _, stop in walk(trial, trial.target or trial.reached):
        if node.trained < stop:
            return node_state(node, stop, tree, waiting)[1]
    return waiting


def _repeats(state: EngineState, study: Study, trial: Trial) -> tuple[RepeatView, ...]:
    members = study.members(trial.number)
    if len(members) == 1:
        return ()
    return tuple(
        RepeatView(
            repeat=member.repeat,
            seed=seed_of(study.spec.program.seed, member.repeat),
            state=TrialState.RUNNING if is_running(state, study, member) else member.state,
            step=progress(member),
            history=tuple(
                EvaluationView(step=step, metrics=dict(metrics))
                for step, metrics in evaluations(member, progress(member)).items()
            ),
        )
        for member in members
    )


def trial_path(engine: Engine, project: str, name: str, number: int) -> TrialPath:
    """A trial's path, with what an explanation needs to know of it and of those who share it."""
    study = find_study(engine.state, project, name)
    trial = find_trial(study, number)
    sharing = [engine.state.studies[each] for each in sorted(engine.state.plans[study.plan].studies)]
    parts = []
    for node, start, stop in walk(trial, trial.target or trial.reached):
        others = {}
        for other in (study, *(each for each in sharing if each is not study)):
            leaving = [
                leaves(member, node)
                for member in going_through(other, node, start + 1)
                if member is not trial
            ]
            if leaving and other.project == project:
                others[other.name] = tuple(sorted(leaving))
        parts.append(Stretch(node=node.id, start=start, stop=stop, others=others))
    return TrialPath(
        study=study.id,
        spec=study.spec,
        names={each.id: each.name for each in engine.state.studies.values() if each.project == project},
        path=tuple(parts),
        ancestors=_ancestors(study, trial),
        measured={
            step: metrics for step, metrics, _ in point_evaluations(study, trial, step_of(study, trial))
        },
        trial=view_of_trial(engine.state, study, trial, trials_waiting_reason(engine.state, study)),
        probes=probe_views(engine.state, study, trial),
    )


def _ancestors(study: Study, trial: Trial) -> tuple[int, ...]:
    found = []
    while trial.fork is not None:
        trial = study.trials[trial.fork["trial"]]
        found.append(trial.number)
    return tuple(found)


def lease_parts(engine: Engine, project: str, name: str, number: int) -> tuple[int, ...]:
    """The nodes on a trial's path, root-most first: their logs are the trial's.

    A trial that failed or was stopped has tried a step beyond what it has reached.
    """
    study = find_study(engine.state, project, name)
    trial = find_trial(study, number)
    return tuple(
        node.id
        for member in study.members(trial.number)
        for node, _, _ in walk(member, member.target or member.reached + 1)
    )


def checkpoint_of(engine: Engine, project: str, name: str, number: int, step: int | None) -> CheckpointRef:
    """The checkpoint of a trial's state; the last that is kept, where no step is given.

    Raises:
        NotFound: There is none; names the steps that are kept.
    """
    study = find_study(engine.state, project, name)
    return find_checkpoint(study, find_trial(study, number), step)


def forked_from(engine: Engine, project: str, name: str, number: int) -> tuple[int, ...]:
    """The numbers of the trials that were forked from one."""
    trials = find_study(engine.state, project, name).trials.values()
    return tuple(each.number for each in trials if each.fork is not None and each.fork["trial"] == number)
