"""What people see of the engine: read-only values whose fields are those of the wire messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.engine.best import best_by_horizon, best_trials
from hippo_core.engine.checkpoint_views import over_budget
from hippo_core.engine.endings import standing
from hippo_core.engine.engine import Engine
from hippo_core.engine.evaluations import progress
from hippo_core.engine.explanation import Stretch
from hippo_core.engine.lookup import find_study, find_trial
from hippo_core.engine.outside import wants_in_words
from hippo_core.engine.probe_views import (
    ProbeView,
    own_stretches,
    probe_views,
    probed_by,
    steps_in_probes,
)
from hippo_core.engine.probes import steps_of
from hippo_core.engine.retention import STORAGE
from hippo_core.engine.running_time import uncounted
from hippo_core.engine.spread import evaluations, point_evaluations, step_of
from hippo_core.engine.state import EngineState, Study, Trial
from hippo_core.engine.states import StudyState, TrialState, WorkerState
from hippo_core.engine.trial_paths import (
    CheckpointRef,
    checkpoints_of,
    find_checkpoint,
    going_through,
    is_running,
    walk,
)
from hippo_core.engine.user_words import PAUSED
from hippo_core.engine.waiting import trials_waiting_reason, waiting_reason
from hippo_core.lease import Lease, Stage
from hippo_core.plan import Metrics, Node
from hippo_core.repeats import seed_of, trial_of
from hippo_core.study import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingsView:
    """What sharing saved."""

    steps_without_sharing: int
    steps_trained: int
    steps_retrained: int
    steps_in_probes: int  #: to which only probes came, and no trial, each once
    merge_rate: float | None
    seconds_trained: float
    seconds_saved: float


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
class StudyView:
    """A study as read; times are the shell's."""

    id: int
    name: str
    project: str
    state: StudyState
    reason: str
    spec: Mapping[str, Any]
    changes: int  #: how often it was extended or edited
    trial_counts: Mapping[str, int]
    best_trials: tuple[TrialView, ...]
    best_by_horizon: tuple[TrialView, ...]  #: of each horizon, where there are any, the shortest first
    savings: SavingsView
    ending: str  #: which of its endings holds; empty: none
    endings: tuple[str, ...]  #: how far each has come, in words
    steps_waiting: int
    seconds_waiting: float | None
    slots_busy: int
    slots_total: int
    waits_for_points: bool  #: whether its reason is that it wants points from outside
    given_up: bool  #: whether the server paused it, since its sampler or policy kept failing
    over_budget: str  #: which budgets for checkpoints are passed, and what for; empty: none

    @property
    def best_trial(self) -> TrialView | None:
        """The first of the best."""
        return self.best_trials[0] if self.best_trials else None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNodeView:
    """A node of the search plan, as far as a study's trials need it."""

    node: int
    parent: int | None
    start: int
    stop: int
    trained: int
    values: Mapping[str, Any]
    trials: tuple[int, ...]
    ending: tuple[int, ...]
    probes: tuple[int, ...]  #: the trials whose probes go through it, where they have parted from them
    metrics: Metrics
    checkpoints: tuple[int, ...]
    running: bool
    not_reproducible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """What a slot does."""

    index: int
    device: str
    model: str
    fence: int | None
    project: str  #: empty: it is idle
    study: str
    user: str  #: whose turn it is
    step: int
    probe_of: int | None  #: of which trial of the study it trains a probe
    cordoned: str = ""  #: why it is granted nothing; empty: it is granted paths


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker as listed; times are the shell's."""

    name: str
    host: str
    state: WorkerState
    slots: tuple[SlotView, ...]
    environment: Mapping[str, Any]
    labels: Mapping[str, str]
    blocked: str = ""  #: what the storage says of saves that it holds up; empty: it holds up none


def study_view(engine: Engine, project: str, name: str, now: float | None = None) -> StudyView:
    """One study.

    Args:
        engine: The engine.
        project: Whose it is.
        name: Its name.
        now: The driver's monotonic time, up to which it has been running; None: when that was counted last.
    """
    study = find_study(engine.state, project, name)
    ran_seconds = study.ran_seconds + uncounted(engine.volatile, study.id, now)
    return _study_view(engine.state, study, ran_seconds, _over_budget(engine, study))


def _over_budget(engine: Engine, study: Study) -> str:
    """Which budgets for checkpoints are passed that a study's count in."""
    own, all_together = over_budget(engine, study.id), over_budget(engine, STORAGE)
    storage = f"storage {all_together}" if all_together else ""
    return "; ".join(words for words in (own, storage) if words)


def trial_views(
    engine: Engine, project: str, name: str, first: int = 0, count: int | None = None
) -> tuple[TrialView, ...]:
    """The trials of a study by number, from ``first`` on: all, or at most ``count``."""
    study = find_study(engine.state, project, name)
    # Trials are numbered from 0 without gaps.
    numbers = range(len(study.trials))[first : None if count is None else first + count]
    waiting = trials_waiting_reason(engine.state, study)
    return tuple(_trial_view(engine.state, study, study.trials[number], waiting) for number in numbers)


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
    views = tuple(_trial_view(engine.state, study, trial, waiting) for trial in found)
    return views, found[-1].closed if found else mark


def trial_detail(engine: Engine, project: str, name: str, number: int) -> TrialDetail:
    """One trial with its history, values and path."""
    study = find_study(engine.state, project, name)
    trial = find_trial(study, number)
    step = step_of(study, trial)
    plan = engine.state.plans[study.plan]
    return TrialDetail(
        trial=_trial_view(engine.state, study, trial, trials_waiting_reason(engine.state, study)),
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


def stage_tree(engine: Engine, project: str, name: str) -> tuple[TreeNodeView, ...]:
    """The study's part of the plan, parents before children."""
    study = find_study(engine.state, project, name)
    stops: dict[int, int] = {}
    trials: dict[int, list[int]] = {}
    ending: dict[int, list[int]] = {}
    probes: dict[int, list[int]] = {}
    for trial in sorted(study.all_members(), key=lambda each: (trial_of(each.number), each.number)):
        number = trial_of(trial.number)
        parts = list(walk(trial, trial.target or trial.reached))
        for node, _, stop in parts:
            stops[node.id] = max(stops.get(node.id, 0), stop)
            trials.setdefault(node.id, []).append(number)
        if parts:
            ending.setdefault(parts[-1][0].id, []).append(number)
    for probe in sorted(study.probes.values(), key=lambda each: (trial_of(each.number), each.number)):
        for node, _, stop in own_stretches(probe, probe.target or probe.reached):
            stops[node.id] = max(stops.get(node.id, 0), stop)
            probes.setdefault(node.id, []).append(trial_of(probe.number))
    tree = engine.state.plans[study.plan].tree
    return tuple(
        _tree_node(
            engine.state.nodes[number],
            stops[number],
            trials.get(number, []),
            ending.get(number, []),
            probes.get(number, []),
            tree.leases,
        )
        for number in sorted(stops, key=lambda each: (engine.state.nodes[each].start, each))
    )


def _tree_node(
    node: Node,
    stop: int,
    trials: list[int],
    ending: list[int],
    probes: list[int],
    leases: Mapping[int, Mapping[int, Any]],
) -> TreeNodeView:
    last = max((step for step in node.metrics if step <= stop), default=None)
    return TreeNodeView(
        node=node.id,
        parent=None if node.parent is None else node.parent.id,
        start=node.start,
        stop=stop,
        trained=min(node.trained, stop),
        values=node.laws.values(node.start),
        trials=tuple(trials),
        ending=tuple(ending),
        probes=tuple(probes),
        metrics={} if last is None else node.metrics[last],
        checkpoints=tuple(sorted(node.checkpoints)),
        running=any(
            lease.training and lease.stages[lease.index][0] == node.id
            for lease in leases.get(node.id, {}).values()
        ),
        not_reproducible=node.not_reproducible,
    )


def worker_views(engine: Engine) -> tuple[WorkerView, ...]:
    """All workers, by name."""
    state = engine.state
    blocked = {lease.worker: lease.blocked for lease in state.leases.values() if lease.blocked}
    views = []
    for name in sorted(state.workers):
        worker = state.workers[name]
        slots = []
        for slot in worker.slots.values():
            lease = None if slot.fence is None else state.leases.get(slot.fence)
            study = None if lease is None else state.studies.get(lease.study)
            slots.append(
                SlotView(
                    index=slot.index,
                    device=slot.device,
                    model=slot.model,
                    fence=slot.fence,
                    project="" if lease is None else state.plans[lease.plan].project,
                    study="" if study is None else study.name,
                    user="" if lease is None else lease.user,
                    step=0 if lease is None else lease.step,
                    probe_of=None if lease is None else probed_by(state, lease),
                    cordoned=slot.cordoned,
                )
            )
        views.append(
            WorkerView(
                name=worker.name,
                host=worker.host,
                state=worker.state,
                slots=tuple(slots),
                environment=worker.environment,
                labels=worker.labels,
                blocked=blocked.get(name, ""),
            )
        )
    return tuple(views)


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
        counts = {}
        for other in (study, *(each for each in sharing if each is not study)):
            there = sum(1 for _ in going_through(other, node, start + 1)) - (other is study)
            if there > 0 and other.project == project:
                counts[other.name] = there
        parts.append(Stretch(node=node.id, start=start, stop=stop, others=counts))
    return TrialPath(
        study=study.id,
        spec=study.spec,
        names={each.id: each.name for each in engine.state.studies.values() if each.project == project},
        path=tuple(parts),
        ancestors=_ancestors(study, trial),
        measured={
            step: metrics for step, metrics, _ in point_evaluations(study, trial, step_of(study, trial))
        },
        trial=_trial_view(engine.state, study, trial, trials_waiting_reason(engine.state, study)),
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


def _study_view(state: EngineState, study: Study, ran_seconds: float, over: str) -> StudyView:
    counts: dict[str, int] = {}
    without = 0
    for trial in study.trials.values():
        name = _shown_state(state, study, trial).value
        counts[name] = counts.get(name, 0) + 1
        without += sum(progress(member) for member in study.members(trial.number))
    without += sum(steps_of(probe) for probe in study.probes.values())
    plan = state.plans[study.plan]
    ranges = [(node, found) for node, found in plan.tree.steps_to_run() if study.id in node.open]
    waiting = sum(found.points[-1] - found.base for _, found in ranges)
    leases = [stages for lease in state.leases.values() if (stages := _stages_ahead(state, study, lease))]
    on_the_way = sum(stop - start for stages in leases for _, start, stop in stages)
    measured = plan.tree.steps > 0
    reason = study.reason or waiting_reason(state, study)
    why_trials_wait = trials_waiting_reason(state, study)
    return StudyView(
        id=study.id,
        name=study.name,
        project=study.project,
        state=study.state,
        reason=reason,
        spec=study.spec.to_json(),
        changes=study.changes,
        trial_counts=dict(sorted(counts.items())),
        best_trials=tuple(_trial_view(state, study, each, why_trials_wait) for each in best_trials(study)),
        best_by_horizon=tuple(
            _trial_view(state, study, each, why_trials_wait)
            for best in best_by_horizon(study).values()
            for each in best
        ),
        savings=_savings(state, study, without),
        ending=study.ending,
        endings=standing(study, ran_seconds),
        steps_waiting=waiting + on_the_way,
        seconds_waiting=(waiting + on_the_way) * plan.tree.mean_step_seconds() if measured else None,
        slots_busy=len(leases),
        slots_total=sum(
            len(worker.slots) for worker in state.workers.values() if worker.state is WorkerState.LIVE
        ),
        waits_for_points=reason == wants_in_words(study),
        given_up=study.state is StudyState.PAUSED and reason != PAUSED,
        over_budget=over,
    )


def _stages_ahead(state: EngineState, study: Study, lease: Lease) -> list[Stage]:
    """The uncommitted stages of a lease that a study waits for."""
    if not lease.training:
        return []
    return [
        (number, max(start, lease.step) if index == lease.index else start, stop)
        for index, (number, start, stop) in enumerate(lease.stages)
        if index >= lease.index and study.id in state.nodes[number].open
    ]


def _savings(state: EngineState, study: Study, without: int) -> SavingsView:
    trained = study.steps_trained
    step_seconds = (
        study.seconds / trained
        if trained
        else state.plans[study.plan].tree.mean_step_seconds()
        if state.plans[study.plan].tree.steps
        else 0.0
    )
    return SavingsView(
        steps_without_sharing=without,
        steps_trained=trained,
        steps_retrained=study.steps_retrained,
        steps_in_probes=steps_in_probes(study),
        merge_rate=without / trained if trained else None,
        seconds_trained=study.seconds,
        seconds_saved=max(0.0, (without - trained) * step_seconds),
    )


def _shown_state(state: EngineState, study: Study, trial: Trial) -> TrialState:
    """A trial's state; people are told apart whether one that waits is being trained."""
    running = any(is_running(state, study, member) for member in study.members(trial.number))
    return TrialState.RUNNING if running else trial.state


def _trial_view(state: EngineState, study: Study, trial: Trial, waiting: str) -> TrialView:
    """A trial as listed; ``waiting`` is why those of its study wait that wait."""
    step, shown = step_of(study, trial), _shown_state(state, study, trial)
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
