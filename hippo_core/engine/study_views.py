"""What people see of studies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core.engine.best import best_by_horizon, best_trials
from hippo_core.engine.checkpoint_views import over_budget
from hippo_core.engine.endings import standing
from hippo_core.engine.engine import Engine
from hippo_core.engine.evaluations import progress
from hippo_core.engine.lookup import find_study
from hippo_core.engine.outside import wants_in_words
from hippo_core.engine.probe_views import (
    steps_in_probes,
)
from hippo_core.engine.probes import steps_of
from hippo_core.engine.retention import STORAGE
from hippo_core.engine.running_time import uncounted
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import StudyState, TrialState, WorkerState
from hippo_core.engine.study import Study
from hippo_core.engine.trial_views import TrialView, running_trials, view_of_trial
from hippo_core.engine.user_words import IMPORTED, PAUSED
from hippo_core.engine.waiting import trials_waiting_reason, waiting_reason
from hippo_core.lease import Lease, Stage


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
class StudyView:
    """A study as read; times are the shell's."""

    id: int
    name: str
    project: str
    state: StudyState
    reason: str
    spec: Mapping[str, Any]
    changes: int  #: how often it was extended or edited
    trial_counts: Mapping[str, int]  #: by state; those that are still to be created wait, too
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


def _study_view(state: EngineState, study: Study, ran_seconds: float, over: str) -> StudyView:
    counts = Counter(trial.state for trial in study.trials.values())
    running = running_trials(state, study)
    counts.subtract(study.trials[number].state for number in running)
    counts[TrialState.RUNNING] += len(running)
    counts[TrialState.WAITING] += study.coming
    plan = state.plans[study.plan]
    waiting = plan.tree.steps_left(study.id)
    leases = [stages for lease in state.leases.values() if (stages := _stages_ahead(state, study, lease))]
    on_the_way = sum(stop - start for stages in leases for _, start, stop in stages)
    measured = plan.tree.costs.steps > 0
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
        trial_counts={each.value: counts[each] for each in TrialState if counts[each]},
        best_trials=tuple(view_of_trial(state, study, each, why_trials_wait) for each in best_trials(study)),
        best_by_horizon=tuple(
            view_of_trial(state, study, each, why_trials_wait)
            for best in best_by_horizon(study).values()
            for each in best
        ),
        savings=savings_of(state, study),
        ending=study.ending,
        endings=standing(study, ran_seconds),
        steps_waiting=waiting + on_the_way,
        seconds_waiting=(waiting + on_the_way) * plan.tree.costs.mean() if measured else None,
        slots_busy=len(leases),
        slots_total=sum(
            len(worker.slots) for worker in state.workers.values() if worker.state is WorkerState.LIVE
        ),
        waits_for_points=reason == wants_in_words(study),
        given_up=study.state is StudyState.PAUSED and reason not in {PAUSED, IMPORTED},
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


def savings_of(state: EngineState, study: Study) -> SavingsView:
    """What was trained for a study, and what training each of its trials alone would have taken."""
    trained = study.steps_trained
    without = sum(progress(member) for member in study.all_members())
    without += sum(steps_of(probe) for probe in study.probes.values())
    step_seconds = (
        study.seconds / trained
        if trained
        else state.plans[study.plan].tree.costs.mean()
        if state.plans[study.plan].tree.costs.steps
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
