"""What people see of trials: read-only values whose fields are those of the wire messages."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hippo_core.engine.engine import Engine
from hippo_core.engine.evaluations import open_below
from hippo_core.engine.lookup import find_study
from hippo_core.engine.spread import point_evaluations, step_of
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_paths import (
    is_running,
    walk,
)
from hippo_core.engine.waiting import trials_waiting_reason
from hippo_core.plan import Metrics
from hippo_core.probes import probe_of
from hippo_core.repeats import trial_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """A trial as listed."""

    number: int
    state: TrialState
    step: int
    max_steps: int
    metrics: Metrics  #: of its repeats the means
    spread: Metrics  #: of its repeats the standard deviations; empty without repeats
    violation: float | None  #: of the study's constraints there; None: there are none, or it has no value
    hyperparameters: Mapping[str, Any]
    horizon: int | None  #: how long it is among its study's horizons
    parent: int | None  #: the trial that it was forked from
    forked_at: int | None  #: the step from which on it may differ from that
    instead_of: int | None  #: the trial whose place it took, where its policy forked it
    reason: str


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


def changed_trial_views(
    state: EngineState, study: Study, numbers: range, before: Mapping[int, TrialView]
) -> list[TrialView]:
    """Of the trials of a study that have these numbers those that look otherwise than before, or are new.

    Args:
        state: The engine's.
        study: Whose trials they are.
        numbers: Of the trials; some may not be there.
        before: How trials of this study looked, by number. Their hyper-parameters never change, and making them is the
            slowest part.
    """
    waiting = trials_waiting_reason(state, study)
    found = []
    for trial in (study.trials[number] for number in numbers if number in study.trials):
        known = before.get(trial.number)
        view = view_of_trial(state, study, trial, waiting, None if known is None else known.hyperparameters)
        if view != known:
            found.append(view)
    return found


def trials_since(
    engine: Engine, project: str, name: str, mark: int, count: int
) -> tuple[tuple[TrialView, ...], int]:
    """The trials of which something new is known since a mark, in the order in which it came; at most ``count``.

    New is that a trial came to the step that was asked of it, or ended on its way there; with repeats, that all of them
    did. With it comes the mark for the next time, which stays good over restarts; 0 is that of the beginning.
    """
    study = find_study(engine.state, project, name)
    found, waiting = list(islice(_news(study, mark), count)), trials_waiting_reason(engine.state, study)
    views = tuple(view_of_trial(engine.state, study, trial, waiting) for trial in found)
    return views, found[-1].closed if found else mark


def _news(study: Study, mark: int) -> Iterator[Trial]:
    """The trials whose last closing came after a mark, in the order of these."""
    first = bisect_right(study.closings, mark, key=lambda closing: closing.sequence)
    for number in range(first, len(study.closings)):
        closing = study.closings[number]
        trial = study.trials.get(closing.trial)  # it may be a probe's
        if trial is not None and trial.closed == closing.sequence:
            yield trial


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


def view_of_trial(
    state: EngineState,
    study: Study,
    trial: Trial,
    waiting: str,
    hyperparameters: Mapping[str, Any] | None = None,
) -> TrialView:
    """A trial as listed.

    Args:
        state: The engine's.
        study: The trial's.
        trial: The trial.
        waiting: Why those of its study wait that wait.
        hyperparameters: Its own as JSON, where they were made already.
    """
    step, shown = step_of(study, trial), shown_state(state, study, trial)
    metrics, spread = last_metrics(study, trial, step)
    return TrialView(
        number=trial.number,
        state=shown,
        step=step,
        max_steps=trial.limit,
        metrics=metrics,
        spread=spread,
        violation=violation_of(study, metrics),
        hyperparameters=study.hyperparameters(trial) if hyperparameters is None else hyperparameters,
        horizon=trial.horizon or None,
        parent=None if trial.fork is None else trial.fork["trial"],
        forked_at=None if trial.fork is None else trial.fork["at"],
        instead_of=None if trial.fork is None else trial.fork.get("instead_of"),
        reason=trial.reason or (waiting if shown is TrialState.WAITING else ""),
    )


def violation_of(study: Study, metrics: Metrics) -> float | None:
    """By how much metrics violate the study's constraints, in all; None: there are none, or it has no value."""
    values = study.spec.values(metrics) if study.spec.constraints else None
    return None if values is None else study.spec.worth(values)[0]


def last_metrics(study: Study, trial: Trial, step: int) -> tuple[Metrics, Metrics]:
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
