"""Studies: one search as a value, checked as a whole."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeVar

from hippo_core import (
    endings,
    metric_constraints,
    study_checks,
    study_warnings,
)
from hippo_core.choosing import Chosen
from hippo_core.distinct import DistinctPoints, identity, may_repeat
from hippo_core.domains import HORIZON
from hippo_core.drawn_stretches import DrawnStretches
from hippo_core.endings import Ending
from hippo_core.errors import InvalidStudy
from hippo_core.metric_constraints import MetricConstraint, Metrics
from hippo_core.objective import Objective
from hippo_core.policies import Policy, PolicySpec, Values
from hippo_core.policies.by_horizon import ByHorizon
from hippo_core.policies.policy import Worth, round_up, worth
from hippo_core.program import Program, canonical_json
from hippo_core.repeats import seed_schedule
from hippo_core.retention import KEEP_BEST, Keep
from hippo_core.samplers import Sampler
from hippo_core.sequence import Sequence
from hippo_core.space import Assignment, EndOf, Space
from hippo_core.study_json import read_study, study_json
from hippo_core.trial_schedules import end_of, horizon_of, hyperparameters_of, read_hyperparameters, stretches
from hippo_core.values import Scalar

E = TypeVar("E", bound=Ending)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """One search.

    Attributes:
        name: Its name within the project.
        space: What is searched.
        objectives: What is optimised; the best trials of several are their Pareto front.
        max_trials: How many trials it has in all.
        max_steps: How far any trial may be trained, or the name of the schedule whose end says it. Rounded up to
            ``evaluate_every`` wherever it is used.
        sampler: Which points to try.
        policy: How far to train whom.
        program: What is trained.
        bundle: The digest of the code that travels to the workers; empty while only planning.
        checkpoint_every: Save at multiples of so many steps; None: as often as the cost allows.
        keep: What stays of its checkpoints, whatever the budgets say.
        checkpoint_budget: How many bytes its checkpoints may hold before some go; None: as many as the storage's.
        priority: Higher ones are trained first.
        secrets: Names of the worker's secrets that the trainer gets as environment variables.
        initial: The points of the first trials, whatever the sampler: what is drawn for each domain.
        endings: What ends it before all its trials have come to their end, in their order.
        constraints: What a state must keep to be feasible.
        repeats: How often each point is trained, with seeds of its own; it counts once in ``max_trials``.
        horizons: How long trials are, ascending: each point gives one for each, and counts once in ``max_trials``.
            Their schedules follow from it, and ``max_steps`` is the last of them. Rounded up as ``max_steps`` is: see
            ``lengths``. Empty: trials end as ``max_steps``
            says.
        earlier: How many trials were drawn before the space or the sampler was edited last; no part of the content.
        chosen: How ``policies.auto()`` came to the sampler and the policy, where it did; no part of the content.
    """

    name: str
    space: Space
    objectives: tuple[Objective, ...]
    max_trials: int
    max_steps: int | EndOf
    sampler: Sampler
    policy: PolicySpec
    program: Program
    bundle: str = ""
    checkpoint_every: int | None = None
    keep: Keep = KEEP_BEST
    checkpoint_budget: int | None = None
    priority: int = 0
    secrets: tuple[str, ...] = ()
    initial: tuple[Mapping[str, Scalar], ...] = ()
    endings: tuple[Ending, ...] = ()
    constraints: tuple[MetricConstraint, ...] = ()
    repeats: int = 1
    horizons: tuple[int, ...] = ()
    earlier: int = 0
    chosen: Chosen | None = None
    _searched: list[StudySpec] = field(init=False, compare=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        """Checks the study as a whole."""
        object.__setattr__(self, "horizons", study_checks.horizons(self))
        object.__setattr__(self, "endings", endings.checked(self.endings))
        object.__setattr__(self, "constraints", metric_constraints.checked(self.constraints))
        study_checks.check_parts(self)
        object.__setattr__(self, "initial", study_checks.initial_points(self))
        study_checks.check_points(self)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the person who submits should know, though it is no error."""
        return study_warnings.warnings(self)

    @property
    def lengths(self) -> tuple[int, ...]:
        """The horizons, as trials have them: multiples of ``evaluate_every``."""
        return tuple(map(self.rounded_up, self.horizons))

    @property
    def searched(self) -> StudySpec:
        """What a sampler searches: where there are horizons, the study of the longest one alone."""
        if not self.horizons:
            return self
        if not self._searched:
            longest = self.lengths[-1]
            self._searched.append(replace(self, space=self.space.at(longest), horizons=()))
        return self._searched[0]

    def build_policy(self, beside: Mapping[int, int] | None = None, missing: int = 0) -> Policy:
        """The policy at the beginning of the study.

        Args:
            beside: By horizon, or for 0 where there is none, how many trials there are beside ``max_trials``.
            missing: How many points of a sampler that learns are not to come, as there are no more.
        """
        maximize = tuple(objective.maximize for objective in self.objectives)

        def build(horizon: int) -> Policy:
            there = self.max_trials if self.sampler.learns else self.known_trials
            count = there - missing + (beside or {}).get(horizon, 0)
            return self.policy.build(maximize, self.program.evaluate_every, count)

        policy = ByHorizon({each: build(each) for each in self.lengths}) if self.horizons else build(0)
        policy.searches(self.searched.space, self.program.seed)
        policy.compares(tuple(objective.metric for objective in self.objectives))
        return policy

    @property
    def observed(self) -> tuple[Objective, ...]:
        """All metrics that it looks at: its objectives; then those of its constraints, each with its better side."""
        found = {each.metric: each for each in self.objectives}
        for constraint in self.constraints:
            bound = constraint.bound
            for metric in constraint.metrics:
                larger = bound is not None and not bound.is_upper
                found.setdefault(metric, Objective(metric=metric, maximize=larger))
        return tuple(found.values())

    def values(self, metrics: Metrics) -> Values | None:
        """What is compared at a state: its objectives, then the margins of its constraints.

        Args:
            metrics: Of the state; of repeats the means.

        Returns:
            None where an objective is not finite, or not known.
        """
        found = []
        for objective in self.objectives:
            value = metrics.get(objective.metric)
            if value is None:
                return None
            found.append(value)
        return (*found, *(constraint.margin(metrics) for constraint in self.constraints))

    def worth(self, values: Values) -> Worth:
        """What is compared, less being better."""
        return worth(values, tuple(objective.maximize for objective in self.objectives))

    def point(self, number: int) -> Mapping[str, Scalar]:
        """The assignment of point ``number``, from 0: what is drawn for each domain.

        First the initial points, then the sampler's, without any that is one and the same with one before. Of a sampler
        that learns it is a random stand-in: the trial's own point is known when it is proposed.

        Raises:
            InvalidStudy: There are not so many points.
        """
        if number < len(self.initial):
            return self.initial[number]
        if self.horizons:
            return self.searched.point(number)
        place = number - len(self.initial)
        distinct = self._distinct()
        if distinct is None:
            return self.sampler.point(self.space, self.program.seed, place)
        try:
            return distinct[place]
        except IndexError:
            count = self.distinct_trials(number)
            raise InvalidStudy(
                "max_trials", f"there is no trial {number}: the space has {count} points"
            ) from None

    def distinct_trials(self, most: int) -> int:
        """How many points there can be that are given or differ from all before; at most ``most``."""
        if self.horizons:
            return self.searched.distinct_trials(most)
        distinct, given = self._distinct(), len(self.initial)
        if distinct is None or most <= given:
            return most
        return given + distinct.count(most - given)

    def identity(self, assignment: Assignment) -> Hashable:
        """Equal for points that are one and the same: whose trials have the same values at every step."""
        if self.horizons:
            return self.searched.identity(assignment)
        try:
            return identity(self.sequence(assignment), self.max_steps_of(assignment))
        except InvalidStudy:  # it cannot be trained
            return tuple(sorted(assignment.items()))

    def _distinct(self) -> DistinctPoints | None:
        """The sampler's points without copies; None: it makes none."""
        if self.sampler.enumerates or self.sampler.outside or not may_repeat(self.space):
            return None
        end = self.max_steps.name if isinstance(self.max_steps, EndOf) else self.max_steps
        words = (self.sampler.to_json(), self.program.seed, self.initial, end)
        return self.space.remembered(
            canonical_json(words),
            lambda: DistinctPoints(
                self.space,
                lambda number: self.sampler.point(self.space, self.program.seed, number),
                self.identity,
                self.initial,
            ),
        )

    def trials_of(self, point: Assignment) -> list[Assignment]:
        """What the trials of a point have: one, or with horizons one for each, ascending."""
        return [{**point, HORIZON: each} for each in self.lengths] or [point]

    @property
    def trials_of_a_point(self) -> int:
        """How many trials a point has; each repeat counts."""
        return max(1, len(self.horizons)) * self.repeats

    def numbers(self, count: int) -> range:
        """Which of the first ``count`` trials' points can be told from their numbers.

        After an edit those of a grid are found among what is no trial yet: then all its points are looked at.
        """
        if self.earlier and self.sampler.enumerates:
            return range(len(self.initial) + (self.sampler.count(self.searched.space) or count))
        return range(self.distinct_trials(count))

    def trial(self, number: int) -> Assignment:
        """What trial ``number``, from 0, has, where points were all known from the start: horizons fastest."""
        point, which = divmod(number, max(1, len(self.horizons)))
        return self.trials_of(self.point(point))[which]

    @property
    def known_trials(self) -> int:
        """How many points are known beforehand: all, or those that a finite space has."""
        if self.sampler.learns:
            return min(len(self.initial), self.max_trials)
        return self.distinct_trials(self.max_trials)

    def checked_point(self, assignment: Assignment) -> dict[str, Scalar]:
        """An assignment in canonical form, if a trial with it can be trained.

        Raises:
            InvalidStudy: It is not of the space, or its schedules are wrong or not finite.
        """
        found = self.space.checked(assignment)
        study_checks.check_point(self, found, "")
        return found

    def sequence(self, assignment: Assignment, repeat: int = 0) -> Sequence:
        """A trial's schedules, side by side; those of a repeat of it beside its seed."""
        drawn: DrawnStretches = self.space.remembered("stretches", lambda: DrawnStretches(self.space))
        made = drawn.of(assignment)
        return Sequence({**made, **seed_schedule(self.program.seed, repeat)})

    def hyperparameters(self, assignment: Assignment) -> dict[str, Any]:
        """A trial's hyper-parameters as JSON: schedules as objects, constants plain."""
        return hyperparameters_of(self.space, assignment)

    def sequence_of(self, hyperparameters: Mapping[str, Any], repeat: int = 0) -> Sequence:
        """A trial's schedules, given its hyper-parameters as :meth:`hyperparameters` gives them."""
        made = stretches(read_hyperparameters(hyperparameters), self.space)
        return Sequence({**made, **seed_schedule(self.program.seed, repeat)})

    def max_steps_of(self, assignment: Assignment) -> int:
        """How far a trial may be trained: a multiple of ``evaluate_every``."""
        if self.horizons:
            return horizon_of(assignment)
        if isinstance(self.max_steps, int):
            return self.rounded_up(self.max_steps)
        return self.rounded_up(end_of(self.max_steps.name, self.space.resolve(assignment)))

    def rounded_up(self, step: int) -> int:
        """The first step from there on that is evaluated."""
        return round_up(step, self.program.evaluate_every)

    def ending(self, kind: type[E]) -> E | None:
        """Its ending of a kind."""
        return next((each for each in self.endings if isinstance(each, kind)), None)

    @property
    def limit(self) -> int | None:
        """How far any trial may be trained, a multiple of ``evaluate_every``; None: as its schedule says."""
        if isinstance(self.max_steps, EndOf):
            return None
        return round_up(self.max_steps, self.program.evaluate_every)

    def to_json(self) -> dict[str, Any]:
        """The study as a JSON object."""
        return study_json(self)

    @classmethod
    def from_json(cls, json: Any) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            InvalidStudy: A value is wrong, missing or not known.
        """
        try:
            return cls(**read_study(json, [each.name for each in fields(cls) if each.init]))
        except RecursionError:
            raise InvalidStudy("space", "is nested too deeply") from None
