"""What people see of trials: read-only values whose fields are those of the wire messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hippo_core.engine.engine import Engine
from hippo_core.engine.evaluations import open_below, progress
from hippo_core.engine.explanation import Stretch
from hippo_core.engine.lookup import find_study, find_trial
from hippo_core.engine.node_states import node_state
from hippo_core.engine.probe_views import (
    ProbeView,
    probe_views,
)
from hippo_core.engine.spread import evaluations, point_evaluations, step_of
from hippo_core.engine.state import EngineState, Study, Trial
from hippo_core.engine.states import TrialState
from hippo_core.engine.trial_paths import (
    CheckpointRef,
    checkpoints_of,
    find_checkpoint,
    going_through,
    is_running,
    leaves,
    walk,
)
from hippo_core.engine.waiting import trials_waiting_reason
from hippo_core.plan import Metrics
from hippo_core.probes import probe_of
from hippo_core.repeats import seed_of, trial_of
from hippo_core.study import StudySpec

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """A trial as listed."""

    number: int
    state: TrialState
    step: int
    max_steps: int
    metrics: Metrics  #: of its repeats the means
    spread: Metrics  #: of its repeats the standard deviations; empty without repeats
    violation: (
        float | None
    )  #: of the study's constraints there, in all; None: there are none, or it has no value
    hyperparameters: Mapping[str, Any]
    horizon: int | None  #: how long it is among its study's horizons
    parent: int | None  #: the trial that it was forked from
    forked_at: int | None  #: the step from which on it may differ from that
    instead_of: int | None  #: the trial whose place it took, where its policy forked it
    reason: str


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


def trial_views(
    engine: Engine, project: str, name: str, first: int = 0, count: int | None = None
) -> tuple[TrialView, ...]:
    """The trials of a study by number, from ``first`` on: all, or at most ``count``."""
    study = find_study(engine.state, project, name)
    # Trials are numbered from 0 without gaps.
    numbers = range(len(study.trials))[first : None if count is None else first + count]
    waiting = trials_waiting_reason(engine.state, study)
    return tuple(view_of_trial(engine.state, study, study.trials[number], waiting) for number in numbers)


def some_trial_views(
    engine: Engine, project: str, name: str, numbers: Iterable[int]
) -> tuple[TrialView, ...]:
    """The trials of a study that have these numbers, in that order."""
    study = find_study(engine.state, project, name)
    waiting = trials_waiting_reason(engine.state, study)
    return tuple(view_of_trial(engine.state, study, study.trials[number], waiting) for number in numbers)


class TrialGlance:
    """A trial as ``TrialView`` has it, of which each part is made when it is asked for: to look through many.

    Args:
        state: The engine's.
        study: The trial's.
        trial: The trial.
        known: The hyper-parameters of the study's trials that were made already, by number. They never change, and
            making them is the slowest part.
    """

    __slots__ = ("_known", "_state", "_study", "_trial")

    def __init__(
        self, state: EngineState, study: Study, trial: Trial, known: dict[int, Mapping[str, Any]]
    ) -> None:
        self._known = known
        self._state = state
        self._study = study
        self._trial = trial

    @property
    def number(self) -> int:
        """Its number."""
        return self._trial.number

    @property
    def state(self) -> TrialState:
        """Its state."""
        return shown_state(self._state, self._study, self._trial)

    @property
    def step(self) -> int:
        """The step that it has reached."""
        return step_of(self._study, self._trial)

    @property
    def metrics(self) -> Metrics:
        """The metrics of its last evaluation; of its repeats the means."""
        return _metrics(self._study, self._trial, self.step)[0]

    @property
    def violation(self) -> float | None:
        """Of the study's constraints there, in all."""
        return _violation(self._study, self.metrics) if self._study.spec.constraints else None

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """Its hyper-parameters as JSON."""
        found = self._known.get(self._trial.number)
        if found is None:
            found = self._known[self._trial.number] = self._study.hyperparameters(self._trial)
        return found

    @property
    def horizon(self) -> int | None:
        """How long it is among its study's horizons."""
        return self._trial.horizon or None

    @property
    def parent(self) -> int | None:
        """The trial that it was forked from."""
        return None if self._trial.fork is None else self._trial.fork["trial"]

    @property
    def reason(self) -> str:
        """Why it is in its state."""
        if self._trial.reason or self.state is not TrialState.WAITING:
            return self._trial.reason
        return trials_waiting_reason(self._state, self._study)


def glance(
    engine: Engine,
    project: str,
    name: str,
    numbers: range,
    known: dict[int, Mapping[str, Any]],
    look: Callable[[TrialGlance], T],
) -> list[T]:
    """What ``look`` sees of the trials of a study that have these numbers, as far as there are such.

    Args:
        engine: Read.
        project: Whose study it is.
        name: Its name.
        numbers: Of the trials, from the lowest on.
        known: The hyper-parameters of the study's trials by number, where they were made; grows.
        look: Looks at one.
    """
    study = find_study(engine.state, project, name)
    return [
        look(TrialGlance(engine.state, study, study.trials[number], known))
        for number in numbers
        if number in study.trials
    ]


class ReportedNames:
    """The names of the metrics that a study's trials report: found where requests closed, and where leases train.

    Attributes:
        names: Those that were found, in the order in which they came.
    """

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self._looked_at = 0

    def go_on(self, state: EngineState, study: Study, count: int) -> bool:
        """Looks at what has come since, at so many requests at most; tells whether there are more."""
        closings = study.closings[self._looked_at : self._looked_at + count]
        for closing in closings:
            leaf = study.member(closing.trial).leaf
            if leaf is not None and closing.step > 0:
                self.names.update(dict.fromkeys(leaf.owner(closing.step).metrics.get(closing.step, ())))
        self._looked_at += len(closings)
        if self._looked_at < len(study.closings):
            return True
        for number in state.plans[study.plan].tree.leases:
            node = state.nodes[number]
            if study.id in node.open and node.metrics:
                self.names.update(dict.fromkeys(node.metrics[max(node.metrics)]))
        return False


def forked_from(engine: Engine, project: str, name: str, number: int) -> tuple[int, ...]:
    """The numbers of the trials that were forked from one."""
    trials = find_study(engine.state, project, name).trials.values()
    return tuple(each.number for each in trials if each.fork is not None and each.fork["trial"] == number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a trial has come to, where many are looked at."""

    number: int
    completed: bool
    metrics: Metrics  #: of its repeats the means


def outcomes(engine: Engine, project: str, name: str, first: int, count: int) -> tuple[Outcome, ...]:
    """What at most ``count`` trials of a study have come to, by number, from ``first`` on."""
    study = find_study(engine.state, project, name)
    found = [study.trials[number] for number in range(len(study.trials))[first : first + count]]
    return tuple(
        Outcome(
            number=trial.number,
            completed=trial.state is TrialState.COMPLETED,
            metrics=_metrics(study, trial, step_of(study, trial))[0],
        )
        for trial in found
    )


def trials_since(
    engine: Engine, project: str, name: str, mark: int, count: int
) -> tuple[tuple[TrialView, ...], int]:
    """The trials of which something new is known since a mark, in the order in which it came; at most ``count``.

    New is that a trial came to the step that was asked of it, or ended on its way there. With it comes the mark for the
    next time, which stays good over restarts; 0 is that of the beginning.
    """
    study = find_study(engine.state, project, name)
    news = sorted(
        (trial for trial in study.trials.values() if trial.closed > mark), key=lambda trial: trial.closed
    )
    found, waiting = news[:count], trials_waiting_reason(engine.state, study)
    views = tuple(view_of_trial(engine.state, study, trial, waiting) for trial in found)
    return views, found[-1].closed if found else mark


def trial_detail(engine: Engine, project: str, name: str, number: int) -> TrialDetail:
    """One trial with its history, values and path."""
    study = find_study(engine.state, project, name)
    trial = find_trial(study, number)
    step = step_of(study, trial)
    plan = engine.state.plans[study.plan]
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
        values=tuple(trial.sequence.values(each) for each in range(step)),
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


def checkpoint_of(engine: Engine, project: str, name: str, number: int, step: int | None) -> CheckpointRef:
    """The checkpoint of a trial's state; the last that is kept, where no step is given.

    Raises:
        NotFound: There is none; names the steps that are kept.
    """
    study = find_study(engine.state, project, name)
    return find_checkpoint(study, find_trial(study, number), step)


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


def shown_state(state: EngineState, study: Study, trial: Trial) -> TrialState:
    """A trial's state; people are told apart whether one that waits is being trained."""
    members = study.members(trial.number) if study.repeats else (trial,)
    running = any(is_running(state, study, member) for member in members)
    return TrialState.RUNNING if running else trial.state


def running_trials(state: EngineState, study: Study) -> set[int]:
    """The trials of a study that are being trained: of those below what leases train, not of all."""
    nodes = {
        stage[0]
        for leases in state.plans[study.plan].tree.leases.values()
        for lease in leases.values()
        for stage in lease.stages[lease.index :]
    }
    below = {
        member
        for node in (state.nodes[number] for number in nodes)
        if study.id in node.open
        for member in open_below(study, node)
        if not probe_of(member)
    }
    return {trial_of(member) for member in below if is_running(state, study, study.member(member))}


def view_of_trial(state: EngineState, study: Study, trial: Trial, waiting: str) -> TrialView:
    """A trial as listed; ``waiting`` is why those of its study wait that wait."""
    step, shown = step_of(study, trial), shown_state(state, study, trial)
    metrics, spread = _metrics(study, trial, step)
    return TrialView(
        number=trial.number,
        state=shown,
        step=step,
        max_steps=trial.limit,
        metrics=metrics,
        spread=spread,
        violation=_violation(study, metrics),
        hyperparameters=study.hyperparameters(trial),
        horizon=trial.horizon or None,
        parent=None if trial.fork is None else trial.fork["trial"],
        forked_at=None if trial.fork is None else trial.fork["at"],
        instead_of=None if trial.fork is None else trial.fork.get("instead_of"),
        reason=trial.reason or (waiting if shown is TrialState.WAITING else ""),
    )


def _violation(study: Study, metrics: Metrics) -> float | None:
    values = study.spec.values(metrics) if study.spec.constraints else None
    return None if values is None else study.spec.worth(values)[0]


def _metrics(study: Study, trial: Trial, step: int) -> tuple[Metrics, Metrics]:
    """The metrics of the last evaluation up to a step, and their spread over repeats."""
    if study.repeats:
        found = list(point_evaluations(study, trial, step))
        return found[-1][1:] if found else ({}, {})
    metrics: Metrics = {}
    for node, start, stop in walk(trial, step):
        evaluated = [each for each in node.metrics if start < each <= stop]
        if evaluated:
            metrics = node.metrics[max(evaluated)]
    return metrics, {}
