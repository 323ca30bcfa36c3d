"""What a simulation came to."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from hippo_core.engine.best import best_by_horizon, best_trials, evaluated, violation_of
from hippo_core.engine.probe_views import own_stretches, steps_in_probes
from hippo_core.engine.probes import steps_of
from hippo_core.engine.states import TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_paths import walk
from hippo_core.metric_constraints import feasibility_json
from hippo_core.simulation.bounds import level_bound, path_bound
from hippo_core.simulation.costs import Clockwork, Host, seconds
from hippo_core.simulation.simulator import Simulator
from hippo_core.simulation.usage import Activity, Span, most_slots


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedTrial:
    """How a trial went.

    Attributes:
        trial: Its number.
        state: How it ended.
        reason: Why, in words and numbers; may be empty.
        step: The step that it reached.
        value: The first objective there; None where there is none.
        metrics: All objectives, and what constraints are on, at its last evaluation, by name; None where there is none.
        violation: By how much it violates the study's constraints there; None: there are none, or it has no value.
        hyperparameters: By name, a value or a schedule as JSON.
    """

    trial: int
    state: str
    reason: str
    step: int
    value: float | None
    metrics: Mapping[str, float | None]
    violation: float | None
    hyperparameters: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The trial as a JSON object."""
        found = asdict(self)
        del found["violation"]
        return {**found, **feasibility_json(self.violation)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedStudy:
    """How a study went.

    Attributes:
        study: Its name.
        state: How it ended.
        reason: Why, in words; empty: all its trials came to their end.
        trials: How many trials ended in which state.
        steps_without_sharing: What its trials' steps are, each trained alone.
        best_trial: The best one's number; None where there is none.
        best_step: The step that it reached.
        best_value: Its first objective there.
        best_trials: The numbers of the Pareto front, where there are several objectives; else the best one's.
        best_by_horizon: By horizon, where there are any, the best one's number of those that are so long.
        leaderboard: All trials, the best first: those that completed, then those that came furthest; of these by how
            much they violate constraints, then by the first objective.
    """

    study: str
    state: str
    reason: str
    trials: Mapping[str, int]
    steps_without_sharing: int
    best_trial: int | None
    best_step: int | None
    best_value: float | None
    best_trials: tuple[int, ...]
    best_by_horizon: Mapping[int, int]
    leaderboard: tuple[SimulatedTrial, ...]

    def to_json(self) -> dict[str, Any]:
        """The study as a JSON object."""
        by_number = {each.trial: each for each in self.leaderboard}
        best = [by_number[number].to_json() for number in self.best_trials]
        return {
            "study": self.study,
            "state": self.state,
            "reason": self.reason,
            "trials": dict(self.trials),
            "steps_without_sharing": self.steps_without_sharing,
            "best": best[0] if best else None,
            "best_trials": best,
            "best_by_horizon": {
                str(horizon): by_number[number].to_json() for horizon, number in self.best_by_horizon.items()
            },
            "leaderboard": [each.to_json() for each in self.leaderboard],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What a simulation came to.

    Attributes:
        slots: The most that were there at a time.
        makespan_seconds: When the last study ended.
        lower_bound_seconds: Hu's level bound of the steps that were trained, with their evaluations, summed over the
            barriers of the policies (``hippo_core.simulation.phases``): no schedule that trains them, and learns the
            same at the same barriers, is shorter.
        path_bound_seconds: The weaker bound: for each phase the longest path or the work divided by the slots.
        slot_seconds: The slots' time, by what it went into.
        steps_trained: All training, what was trained again included.
        steps_retrained: What was trained again.
        steps_in_probes: What only probes of a study came to, and no trial of it, each step once.
        steps_without_sharing: What the steps of all trials are, each trained alone.
        trials: How many there are.
        phases: How many phases, each begun by a barrier, the study with the most of them had.
        events: How many the engine made.
        studies: How each study went.
        hosts: The workers.
        spans: What each slot did when.
    """

    slots: int
    makespan_seconds: float
    lower_bound_seconds: float
    path_bound_seconds: float
    slot_seconds: Mapping[str, float]
    steps_trained: int
    steps_retrained: int
    steps_in_probes: int
    steps_without_sharing: int
    trials: int
    phases: int
    events: int
    studies: tuple[SimulatedStudy, ...]
    hosts: tuple[Host, ...]
    spans: tuple[Span, ...]

    @property
    def ratio_to_bound(self) -> float | None:
        """The makespan divided by its lower bound; None where nothing was trained."""
        return self.makespan_seconds / self.lower_bound_seconds if self.lower_bound_seconds else None

    @property
    def merge_rate(self) -> float | None:
        """Steps without sharing per step trained; None where nothing was trained."""
        return self.steps_without_sharing / self.steps_trained if self.steps_trained else None

    @property
    def busy_seconds(self) -> float:
        """The slots' time but for what they idled."""
        return sum(spent for kind, spent in self.slot_seconds.items() if kind != Activity.IDLE)

    def to_json(self) -> dict[str, Any]:
        """The outcome as a JSON object, without hosts and spans."""
        return {
            "slots": self.slots,
            "makespan_seconds": self.makespan_seconds,
            "lower_bound_seconds": self.lower_bound_seconds,
            "ratio_to_bound": self.ratio_to_bound,
            "path_bound_seconds": self.path_bound_seconds,
            "slot_seconds": dict(self.slot_seconds),
            "steps_trained": self.steps_trained,
            "steps_retrained": self.steps_retrained,
            "steps_in_probes": self.steps_in_probes,
            "steps_without_sharing": self.steps_without_sharing,
            "merge_rate": self.merge_rate,
            "trials": self.trials,
            "phases": self.phases,
            "events": self.events,
            "studies": [study.to_json() for study in self.studies],
        }


def outcome_of(simulator: Simulator, hosts: Sequence[Host], clockwork: Clockwork) -> Simulated:
    """What a simulator that has run came to."""
    state = simulator.engine.state
    slots = most_slots(hosts)
    work = simulator.phases.work(clockwork, simulator.pool.evaluate_every)
    bound = partial(simulator.phases.bound, slots=slots, work=work)
    trained = sum(node.steps for node in state.nodes.values())
    distinct = sum(node.trained - node.start for node in state.nodes.values())
    studies = tuple(_study(study) for study in state.studies.values())
    _count_trials(state.studies.values(), simulator.usage.spans)
    return Simulated(
        slots=slots,
        makespan_seconds=seconds(simulator.agenda.now),
        lower_bound_seconds=seconds(bound(level_bound)),
        path_bound_seconds=seconds(bound(path_bound)),
        slot_seconds={
            kind.value: seconds(spent)
            for kind, spent in simulator.usage.accounts(hosts, simulator.agenda.now).items()
        },
        steps_trained=trained,
        steps_retrained=trained - distinct,
        steps_in_probes=sum(map(steps_in_probes, state.studies.values())),
        steps_without_sharing=sum(study.steps_without_sharing for study in studies),
        trials=sum(len(study.trials) for study in state.studies.values()),
        phases=simulator.phases.count(),
        events=simulator.event_count,
        studies=studies,
        hosts=tuple(hosts),
        spans=tuple(simulator.usage.spans),
    )


def _count_trials(studies: Iterable[Study], spans: Iterable[Span]) -> None:
    """Notes on each stretch how many trials, and how many probes, went through its steps."""
    trials: dict[int, list[int]] = {}
    probes: dict[int, list[int]] = {}
    for study in studies:
        for trial in study.all_members():
            for node, _, stop in walk(trial, trial.reached):
                insort(trials.setdefault(node.id, []), stop)
        for probe in study.probes.values():
            for node, _, stop in own_stretches(probe, probe.reached):
                insort(probes.setdefault(node.id, []), stop)
    for span in spans:
        span.trials = _beyond(trials.get(span.node, []), span.start)
        span.probes = _beyond(probes.get(span.node, []), span.start)


def _beyond(stops: list[int], start: int) -> int:
    return len(stops) - bisect_right(stops, start)


def _study(study: Study) -> SimulatedStudy:
    counts: dict[str, int] = {}
    for trial in study.trials.values():
        counts[trial.state.value] = counts.get(trial.state.value, 0) + 1
    best = best_trials(study)
    return SimulatedStudy(
        study=study.name,
        state=study.state.value,
        reason=study.reason,
        trials=dict(sorted(counts.items())),
        steps_without_sharing=sum(trial.reached for trial in study.all_members())
        + sum(map(steps_of, study.probes.values())),
        best_trial=best[0].number if best else None,
        best_step=best[0].reached if best else None,
        best_value=best[0].value if best else None,
        best_trials=tuple(trial.number for trial in best),
        best_by_horizon={horizon: found[0].number for horizon, found in best_by_horizon(study).items()},
        leaderboard=tuple(
            SimulatedTrial(
                trial=trial.number,
                state=trial.state.value,
                reason=trial.reason,
                step=trial.reached,
                value=trial.value,
                metrics=_measured(study, trial),
                violation=violation_of(study, trial),
                hyperparameters=study.hyperparameters(trial),
            )
            for trial in sorted(study.trials.values(), key=partial(_place, study))
        ),
    )


def _measured(study: Study, trial: Trial) -> dict[str, float | None]:
    _, metrics = evaluated(study, trial)
    return {objective.metric: metrics.get(objective.metric) for objective in study.spec.observed}


def _place(study: Study, trial: Trial) -> tuple[bool, bool, int, float, float, int]:
    """Where a trial stands among those of its study: less is better."""
    value = math.inf if trial.value is None else trial.value
    if study.spec.objectives[0].maximize and trial.value is not None:
        value = -value
    violated = violation_of(study, trial) or 0.0
    is_cut = trial.state is not TrialState.COMPLETED
    return trial.value is None, is_cut, -trial.reached, violated, value, trial.number
