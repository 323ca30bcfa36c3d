"""Studies: one search as a value, checked as a whole."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeVar

from hippo_core import (
    endings,
    metric_constraints,
    policies,
    samplers,
    schedule_forms,
    study_checks,
    study_warnings,
)
from hippo_core.arguments import suggestion
from hippo_core.choosing import Chosen
from hippo_core.differences import MOST_LINES, difference_lines
from hippo_core.distinct import DistinctPoints, identity, may_repeat
from hippo_core.domains import HORIZON, part_to_json
from hippo_core.endings import Ending
from hippo_core.endings import changed as changed_endings
from hippo_core.errors import InvalidStudy
from hippo_core.formulas import Constant
from hippo_core.laws import Law, make
from hippo_core.metric_constraints import MetricConstraint, Metrics
from hippo_core.policies import Policy, PolicySpec, Values
from hippo_core.policies.by_horizon import ByHorizon
from hippo_core.policies.policy import Worth, round_up, worth
from hippo_core.program import Program, canonical_json, require_int
from hippo_core.repeats import seed_schedule
from hippo_core.retention import KEEP_BEST, Keep
from hippo_core.samplers import Sampler
from hippo_core.sequence import Sequence
from hippo_core.space import Assignment, EndOf, Space
from hippo_core.space_reading import part_from_json
from hippo_core.study_checks import LARGEST_STEP
from hippo_core.values import Scalar, normalise, scalar_from_json, scalar_to_json

E = TypeVar("E", bound=Ending)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is optimised.

    Attributes:
        metric: A name that the trainer's ``evaluate`` reports.
        maximize: Whether the larger value is the better one.
    """

    metric: str
    maximize: bool

    def __post_init__(self) -> None:
        """Checks the name."""
        if not isinstance(self.metric, str) or not self.metric or not self.metric.isprintable():
            raise InvalidStudy("objective", f"must be a metric's name, not {self.metric!r}")

    def to_json(self) -> dict[str, Any]:
        """The objective as a JSON object."""
        return {"metric": self.metric, "maximize": self.maximize}


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
        return self._sequence(self.space.resolve(assignment), repeat)

    def hyperparameters(self, assignment: Assignment) -> dict[str, Any]:
        """A trial's hyper-parameters as JSON: schedules as objects, constants plain."""
        return hyperparameters_of(self.space, assignment)

    def sequence_of(self, hyperparameters: Mapping[str, Any], repeat: int = 0) -> Sequence:
        """A trial's schedules, given its hyper-parameters as :meth:`hyperparameters` gives them."""
        return self._sequence(self._read(hyperparameters), repeat)

    def _read(self, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
        return {name: part_from_json(part, f"space[{name!r}]") for name, part in hyperparameters.items()}

    def _sequence(self, parts: Mapping[str, Any], repeat: int) -> Sequence:
        stretches = {name: self._stretches(name, part) for name, part in parts.items()}
        return Sequence({**stretches, **seed_schedule(self.program.seed, repeat)})

    def max_steps_of(self, assignment: Assignment) -> int:
        """How far a trial may be trained: a multiple of ``evaluate_every``."""
        if self.horizons:
            return horizon_of(assignment)
        if isinstance(self.max_steps, int):
            return self.rounded_up(self.max_steps)
        return self.rounded_up(self.end_of(self.space.resolve(assignment)))

    def trunk(self, hyperparameters: Mapping[str, Any]) -> int:
        """Up to which step a trial is the same at any longer horizon.

        Args:
            hyperparameters: As :meth:`hyperparameters` gives them.
        """
        parts = self._read(hyperparameters).values()
        return min((each for each in map(schedule_forms.trunk, parts) if each is not None), default=0)

    def rounded_up(self, step: int) -> int:
        """The first step from there on that is evaluated."""
        return round_up(step, self.program.evaluate_every)

    def differences(self, earlier: StudySpec, most: int = MOST_LINES) -> list[str]:
        """What differs from another study, as at most so many lines ``field: old -> new``; none: the content is
        equal.

        The bundle's digest is not content: the digest of the code that is trained is part of the program.
        """
        return difference_lines(earlier._content(), self._content(), most)

    def extends(self, earlier: StudySpec) -> bool:
        """Whether it only has more trials, steps or horizons, or the priority or the endings are others."""
        same = replace(
            self,
            priority=earlier.priority,
            bundle=earlier.bundle,
            endings=earlier.endings,
            earlier=earlier.earlier,
            chosen=earlier.chosen,
        )
        fixed = self.horizons or earlier.horizons or not self.policy.raisable
        if isinstance(self.max_steps, int) and isinstance(earlier.max_steps, int) and not fixed:
            if self.limit < earlier.limit:  # type: ignore[operator]
                return False
            same = replace(same, max_steps=earlier.max_steps)
        if self.horizons and earlier.horizons and set(self.lengths).issuperset(earlier.lengths):
            same = replace(same, horizons=earlier.horizons, max_steps=earlier.max_steps)
        if self.max_trials < earlier.max_trials:
            return False
        return not replace(same, max_trials=earlier.max_trials).differences(earlier)

    def extended(
        self,
        *,
        max_trials: int | None = None,
        max_steps: int | None = None,
        priority: int | None = None,
        endings: Iterable[Ending] = (),
        horizons: Iterable[int] = (),
    ) -> StudySpec:
        """The same study with other limits, endings or another priority, or further horizons.

        What is not given stays as it is.

        Raises:
            InvalidStudy: It would not be a valid study.
        """
        if max_steps not in (None, self.max_steps) and not self.policy.raisable:
            raise InvalidStudy(
                "max_steps",
                f"cannot be raised beside the policy {self.policy.name}, whose rungs follow from it",
                "Submit the study under another name: it shares what was trained.",
            )
        further = tuple(horizons)
        if further and not self.horizons:
            raise InvalidStudy(
                "horizons",
                "cannot be added: the study has none",
                "Submit it with horizons under another name: it shares what was trained.",
            )
        if self.horizons:
            if max_steps not in (None, self.max_steps):
                raise InvalidStudy("max_steps", "follows from horizons", "Add a horizon instead.")
            added = (each for each in further if self.rounded_up(each) not in self.lengths)
            further = study_checks.sorted_horizons((*self.horizons, *added))
            max_steps = further[-1]
        return replace(
            self,
            max_trials=self.max_trials if max_trials is None else max_trials,
            max_steps=self.max_steps if max_steps is None else max_steps,
            horizons=further,
            priority=self.priority if priority is None else priority,
            endings=changed_endings(self.endings, endings),
        )

    def ending(self, kind: type[E]) -> E | None:
        """Its ending of a kind."""
        return next((each for each in self.endings if isinstance(each, kind)), None)

    def to_json(self) -> dict[str, Any]:
        """The study as a JSON object."""
        ends = {"end_of": self.max_steps.name} if isinstance(self.max_steps, EndOf) else None
        return {
            "name": self.name,
            "space": self.space.to_json(),
            "objectives": [objective.to_json() for objective in self.objectives],
            "max_trials": self.max_trials,
            "max_steps": ends or self.max_steps,
            "sampler": self.sampler.to_json(),
            "policy": self.policy.to_json(),
            "program": self.program.to_json(),
            "initial": [
                {name: scalar_to_json(value) for name, value in each.items()} for each in self.initial
            ],
            "bundle": self.bundle,
            "checkpoint_every": self.checkpoint_every,
            "keep": str(self.keep),
            "checkpoint_budget": self.checkpoint_budget,
            "priority": self.priority,
            "secrets": list(self.secrets),
            "endings": [each.to_json() for each in self.endings],
            "constraints": [each.expression for each in self.constraints],
            "repeats": self.repeats,
            "horizons": list(self.horizons),
            "earlier": self.earlier,
            "chosen": None if self.chosen is None else self.chosen.to_json(),
        }

    @classmethod
    def from_json(cls, json: Any) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            InvalidStudy: A value is wrong, missing or not known.
        """
        if not isinstance(json, Mapping):
            raise InvalidStudy("study", f"must be a JSON object, not {json!r}")
        known = [each.name for each in fields(cls) if each.init]
        for key in json:
            if key not in known:
                raise InvalidStudy(str(key), "is not known", suggestion(str(key), known))
        for key in known:
            if key not in json:
                raise InvalidStudy(key, "is missing")
        try:
            content = {key: READERS[key](value) if key in READERS else value for key, value in json.items()}
            return cls(**content)
        except RecursionError:
            raise InvalidStudy("space", "is nested too deeply") from None

    def end_of(self, resolved: Mapping[str, Any]) -> int:
        """The end of the schedule that ``max_steps`` names, for a trial's hyper-parameters."""
        assert isinstance(self.max_steps, EndOf)
        name = self.max_steps.name
        schedule = resolved.get(name)
        end = schedule_forms.end(schedule)
        if end is None:
            raise InvalidStudy("max_steps", f"end_of({name!r}): {_no_end(schedule, name)}", ENDS)
        if not 1 <= end <= LARGEST_STEP:
            raise InvalidStudy("max_steps", f"end_of({name!r}): the schedule ends at step {end}")
        return end

    @property
    def limit(self) -> int | None:
        """How far any trial may be trained, a multiple of ``evaluate_every``; None: as its schedule says."""
        if isinstance(self.max_steps, EndOf):
            return None
        return round_up(self.max_steps, self.program.evaluate_every)

    def _content(self) -> dict[str, Any]:
        content = self.to_json()
        del content["bundle"], content["earlier"], content["chosen"]
        if self.limit is not None:
            content["max_steps"] = self.limit
        content["horizons"] = list(self.lengths)
        return content

    def _stretches(self, name: str, part: Any) -> list[tuple[int, Law]]:
        kind = self.space.kinds[name]
        try:
            if isinstance(part, schedule_forms.Schedule):
                return part.stretches(kind)
            return [(0, make(Constant(part), 0, False, kind))]
        except ValueError as error:
            raise InvalidStudy(
                f"space[{name!r}]", f"{error}, but the hyper-parameter is {kind.value}"
            ) from None


def horizon_of(assignment: Assignment) -> int:
    """How long a trial is among its study's horizons; 0: the study has none."""
    found = assignment.get(HORIZON, 0)
    assert isinstance(found, int)
    return found


def hyperparameters_of(space: Space, assignment: Assignment) -> dict[str, Any]:
    """The hyper-parameters at a point of a space as JSON: schedules as objects, constants plain."""
    found = {}
    for name, part in space.resolve(assignment).items():
        constant = not isinstance(part, schedule_forms.Schedule)
        found[name] = part_to_json(normalise(part, space.kinds[name]) if constant else part)
    return found


ENDS = (
    "Schedules with an end are linear, polynomial, cosine, one_cycle, from_function, wsd, table; and warmup "
    "and piecewise whose last part has one."
)


def _no_end(schedule: Any, name: str) -> str:
    if schedule is None:
        return f"not every trial has {name!r}"
    if isinstance(schedule, schedule_forms.Schedule):
        return f"the schedule {schedule.kind} has no end"
    return f"{schedule!r} is not a schedule"


# Reading JSON


def _objectives(json: Any) -> tuple[Objective, ...]:
    if not isinstance(json, list | tuple):
        raise InvalidStudy("objectives", f"must be a list, not {json!r}")
    found = []
    for each in json:
        if not isinstance(each, Mapping) or set(each) != {"metric", "maximize"}:
            raise InvalidStudy("objectives", f"must be objects with metric and maximize, not {each!r}")
        found.append(Objective(metric=each["metric"], maximize=each["maximize"]))
    return tuple(found)


def _max_steps(json: Any) -> int | EndOf:
    if isinstance(json, Mapping) and set(json) == {"end_of"}:
        return EndOf(name=json["end_of"])
    return require_int(json, "max_steps", 1)


def _initial(json: Any) -> tuple[Mapping[str, Scalar], ...]:
    if not isinstance(json, list | tuple) or not all(isinstance(each, Mapping) for each in json):
        raise InvalidStudy("initial", f"must be a list of assignments, not {json!r}")
    try:
        return tuple({name: scalar_from_json(value) for name, value in each.items()} for each in json)
    except ValueError as error:
        raise InvalidStudy("initial", str(error)) from None


def _horizons(json: Any) -> tuple[int, ...]:
    if not isinstance(json, list | tuple):
        raise InvalidStudy("horizons", f"must be a list of numbers of steps, not {json!r}")
    return tuple(json)


def _secrets(json: Any) -> tuple[str, ...]:
    if not isinstance(json, list | tuple):
        raise InvalidStudy("secrets", f"must be a list of names, not {json!r}")
    return tuple(json)


READERS: Mapping[str, Callable[[Any], Any]] = {
    "space": Space.from_json,
    "objectives": _objectives,
    "max_steps": _max_steps,
    "sampler": samplers.from_json,
    "policy": policies.from_json,
    "program": Program.from_json,
    "keep": Keep.parse,
    "secrets": _secrets,
    "initial": _initial,
    "endings": endings.from_json,
    "constraints": metric_constraints.checked,
    "chosen": Chosen.from_json,
    "horizons": _horizons,
}
