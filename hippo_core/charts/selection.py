"""What of a study is drawn: which trials, and which metric."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from hippo_core.charts.chart import BLUE, FAINT, GREY, VERMILLION, Colour
from hippo_core.engine.states import ENDED_TRIAL_STATES, RequestState, TrialState
from hippo_core.errors import InvalidStudy
from hippo_core.metric_constraints import violation
from hippo_core.optuna_words import State, last_metrics, outcome
from hippo_core.simulation.recorded_parts import RecordedTrial
from hippo_core.simulation.recording import Recording
from hippo_core.simulation.timeline import Timeline
from hippo_core.trial_schedules import horizon_of
from hippo_core.words import known, plural

_BAD = (TrialState.FAILED, TrialState.DIVERGED)


class Selection:
    """The trials and the metric to draw. Failed and diverged trials are left out.

    Args:
        recording: The study.
        metric: By name; None: the first objective.
        trials: Their numbers; None: all.
        stopped: Whether stopped trials are drawn, too.

    Raises:
        InvalidStudy: There is no such metric or trial.
    """

    def __init__(
        self,
        recording: Recording,
        metric: str | None = None,
        trials: Iterable[int] | None = None,
        stopped: bool = True,
    ) -> None:
        self.recording = recording
        self.spec = self.recording.spec
        objective = self.spec.objectives[0]
        reported = recording.metric_names()
        if metric is not None and metric not in reported:
            raise InvalidStudy("metric", f"{metric!r} is not reported", known(metric, reported))
        self.metric = metric or objective.metric
        # Of a metric that nothing is said about less is taken to be better.
        self.maximize = next(
            (each.maximize for each in self.spec.observed if each.metric == self.metric), False
        )
        wanted = None if trials is None else set(trials)
        missing = (wanted or set()) - {each.number for each in self.recording.trials}
        if missing:
            raise InvalidStudy("trials", f"there is no trial {min(missing)}")
        chosen = [each for each in self.recording.trials if wanted is None or each.number in wanted]
        self.failed = sum(each.state is TrialState.FAILED for each in chosen)
        self.fallen = tuple(each for each in chosen if each.state in _BAD)
        self.diverged = tuple(each for each in chosen if each.state is TrialState.DIVERGED)
        self.stopped = 0 if stopped else sum(each.state is TrialState.STOPPED for each in chosen)
        self.trials = tuple(
            each
            for each in chosen
            if each.state not in _BAD and (stopped or each.state is not TrialState.STOPPED)
        )

    @cached_property
    def timeline(self) -> Timeline:
        """When things happened."""
        return Timeline(self.recording)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is left out."""
        return (*self.left_out(self.failed + len(self.diverged), "failed or diverged"), *self.assumed)

    @property
    def assumed(self) -> tuple[str, ...]:
        """Which values of the metric are taken to be better, where the study does not say it."""
        said = any(each.metric == self.metric for each in self.spec.observed)
        return () if said else (f"less {self.metric} is taken to be better, as the study does not say",)

    @property
    def empty(self) -> str:
        """What a chart says that has nothing to draw."""
        trials = self.recording.trials
        over = trials and all(each.state in ENDED_TRIAL_STATES for each in trials)
        return "nothing to draw: no trial came to a result" if over else "nothing to draw yet"

    def left_out(self, bad: int, what: str) -> tuple[str, ...]:
        """How many trials that came to something bad are left out, and how many stopped ones."""
        there = (
            (f"{plural(bad, 'trial')} that {what}", bad),
            (plural(self.stopped, "stopped trial"), self.stopped),
        )
        return tuple(f"{words} left out" for words, count in there if count)

    @cached_property
    def arrived(self) -> dict[int, set[int]]:
        """By step the trials that came to rest there, as their policy had asked for it."""
        found: dict[int, set[int]] = {}
        for each in self.recording.arrivals:
            if each.state is RequestState.REACHED and not each.probe and not each.by_user:
                found.setdefault(each.step, set()).add(each.trial)
        return found

    def value(self, trial: RecordedTrial) -> float | None:
        """The metric at a trial's last evaluation; None: it has none, or none that is finite."""
        return trial.means[max(trial.means)].get(self.metric) if trial.means else None

    @cached_property
    def valued(self) -> tuple[tuple[RecordedTrial, float], ...]:
        """The trials with a value."""
        found = ((trial, self.value(trial)) for trial in self.trials)
        return tuple((trial, value) for trial, value in found if value is not None)

    @cached_property
    def best(self) -> int | None:
        """The number of the best trial, as the study has it, by this metric.

        Of those that completed, with horizons at the longest one, with constraints the one that violates them least;
        where none has completed, of those at the deepest step.
        """
        sign = -1 if self.maximize else 1

        def rank(each: tuple[RecordedTrial, float]) -> tuple[bool, int, float, float, int]:
            trial, value = each
            done = trial.state is TrialState.COMPLETED
            depth = (
                (horizon_of(trial.assignment or {}) or trial.max_steps) if done and self.spec.horizons else 0
            )
            if not done:
                depth = trial.step
            metrics = last_metrics(trial)
            violated = violation(constraint.margin(metrics) for constraint in self.spec.constraints)
            return not done, -depth, violated, sign * value, trial.number

        return min(map(rank, self.valued), default=(True, 0, 0.0, 0.0, None))[-1]

    def completed(self, trial: RecordedTrial) -> bool:
        """Whether a trial came to its end."""
        return outcome(trial, self.recording).state is State.COMPLETE

    def look(self, trial: RecordedTrial) -> tuple[Colour, str, float, float]:
        """How a trial is drawn: colour, label, opacity, width."""
        if trial.number == self.best:
            return VERMILLION, f"best: trial {trial.number}", 1.0, 2.2
        if trial.state is TrialState.STOPPED:
            return FAINT, "stopped", 0.7, 1.0
        if trial.state is TrialState.COMPLETED:
            return BLUE, "completed", 0.75, 1.2
        return GREY, "not over", 0.8, 1.2

    def in_order(self) -> list[RecordedTrial]:
        """The trials in the order in which they are drawn: stopped ones behind, the best in front."""
        return sorted(
            self.trials,
            key=lambda each: (each.number == self.best, each.state is not TrialState.STOPPED, each.number),
        )

    @property
    def unit(self) -> str:
        """What a step is."""
        return self.spec.program.unit
