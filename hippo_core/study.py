"""Studies: one search as a value, checked as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

from hippo_core import endings, policies, samplers, schedule_forms
from hippo_core.arguments import suggestion
from hippo_core.differences import MOST_LINES, difference_lines
from hippo_core.domains import part_to_json
from hippo_core.endings import Ending
from hippo_core.endings import changed as changed_endings
from hippo_core.errors import InvalidStudy
from hippo_core.formulas import Constant
from hippo_core.laws import Law, make
from hippo_core.policies import DehbSpec, FullSpec, PatienceSpec, Policy, PolicySpec
from hippo_core.policies.halving import HalvingSpec
from hippo_core.policies.policy import round_up
from hippo_core.program import Program, canonical_json, require_int
from hippo_core.repeats import MOST_REPEATS, SEED, seed_schedule
from hippo_core.samplers import Dehb, Sampler
from hippo_core.sequence import Sequence
from hippo_core.space import Assignment, EndOf, Space
from hippo_core.space_reading import part_from_json
from hippo_core.values import Scalar, normalise, scalar_from_json, scalar_to_json

LARGEST_STEP = 2**40
MOST_TRIALS = 1_000_000  # they are all made when the study is submitted
LONGEST_NAME = 200
SHOWN_ROUNDINGS = 4
E = TypeVar("E", bound=Ending)
EXAMPLES = 256  #: how many random points are looked at where the sampler's own are not known yet


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
        priority: Higher ones are trained first.
        secrets: Environment variables of the worker that the trainer may see.
        initial: The points of the first trials, whatever the sampler: what is drawn for each domain.
        endings: What ends it before all its trials have come to their end, in their order.
        repeats: How often each point is trained, with seeds of its own; it counts once in ``max_trials``.
        earlier: How many trials were drawn before the space or the sampler was edited last; no part of the content.
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
    priority: int = 0
    secrets: tuple[str, ...] = ()
    initial: tuple[Mapping[str, Scalar], ...] = ()
    endings: tuple[Ending, ...] = ()
    repeats: int = 1
    earlier: int = 0

    def __post_init__(self) -> None:
        """Checks the study as a whole."""
        _check_name(self.name)
        _check_objectives(self.objectives)
        _check_endings(self)
        _check_limits(self)
        if self.program.kinds != self.space.kinds:
            raise InvalidStudy("program.kinds", "do not agree with the space")
        _check_policy(self.policy, self.objectives)
        self.policy.check_search(self.space, self.max_trials)
        _check_pair(self.policy, self.sampler)
        self.policy.check(self._limit(), self.program.evaluate_every)
        _check_sampler(self)
        _check_initial(self)
        _check_points(self)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the person who submits should know, though it is no error."""
        every = self.program.evaluate_every
        found = []
        if isinstance(self.max_steps, int) and self.max_steps % every:
            rounded = round_up(self.max_steps, every)
            found.append(f"max_steps={self.max_steps} is rounded up to {rounded}, for evaluate_every={every}")
        if isinstance(self.max_steps, EndOf) and every > 1:
            ends = {
                self._end(self.space.resolve(self.point(number))) for number in self._numbers(self.max_trials)
            }
            moved = [f"{end} -> {round_up(end, every)}" for end in sorted(ends) if end % every]
            if moved:
                shown = ", ".join([*moved[:SHOWN_ROUNDINGS], *(["..."] if moved[SHOWN_ROUNDINGS:] else [])])
                name = self.max_steps.name
                found.append(f"the ends of {name!r} are rounded up for evaluate_every={every}: {shown}")
        return (*found, *self._sampler_warnings(), *self.policy.check(self._limit(), every))

    def _sampler_warnings(self) -> tuple[str, ...]:
        if isinstance(self.policy, DehbSpec):
            return self._dehb_warnings(self.policy)
        if (
            not self.sampler.learns
            or self.sampler.outside
            or isinstance(self.policy, FullSpec | PatienceSpec)
        ):
            return ()
        if self.sampler.needs_rungs:
            return self._rung_warnings()
        if self.sampler.sees_stopped and len(self.objectives) == 1:
            return ()
        sampler = self.sampler.to_json()
        several = f" with {len(self.objectives)} objectives" if self.sampler.sees_stopped else ""
        return (
            f"the sampler {sampler['sampler']}{several} learns only from trials that come to their end, and the policy "
            f"{self.policy.name} stops most before; samplers.tpe() with one objective learns from all",
        )

    def _rung_warnings(self) -> tuple[str, ...]:
        word = self.sampler.to_json()["sampler"]
        if not isinstance(self.policy, HalvingSpec):
            return (
                f"the sampler {word} learns from trials that were compared at the same steps, and the policy "
                f"{self.policy.name} compares them where they happen to be; "
                "policies.hyperband(asynchronous=True) has rungs",
            )
        if self.policy.waits:
            return (
                f"{self.policy.name} promotes nobody before all points are proposed, so that the sampler {word} "
                "learns from first rungs only; policies.hyperband(asynchronous=True) lets it learn from all",
            )
        return ()

    def _dehb_warnings(self, policy: DehbSpec) -> tuple[str, ...]:
        assert isinstance(self.max_steps, int)
        brackets = policy.brackets(self.max_steps, self.program.evaluate_every)
        if self.max_trials >= brackets.first_bracket:
            return ()
        rungs = " + ".join(
            f"{count} at step {step}" for count, step in zip(brackets.sizes(0), brackets.ladder, strict=True)
        )
        return (
            f"max_trials={self.max_trials} is less than dehb's first bracket, {brackets.first_bracket} evaluations: "
            f"{rungs}",
        )

    def build_policy(self, beside: int = 0) -> Policy:
        """The policy at the beginning of the study, which has so many trials of users beside ``max_trials``."""
        maximize = tuple(objective.maximize for objective in self.objectives)
        policy = self.policy.build(maximize, self.program.evaluate_every, self.max_trials + beside)
        policy.searches(self.space, self.program.seed)
        return policy

    def point(self, number: int) -> Mapping[str, Scalar]:
        """The assignment of trial ``number``, from 0: what is drawn for each domain.

        First the initial points, then the sampler's. Of a sampler that learns it is a random stand-in: the trial's own
        point is known when it is proposed.
        """
        if number < len(self.initial):
            return self.initial[number]
        return self.sampler.point(self.space, self.program.seed, number - len(self.initial))

    def _numbers(self, count: int) -> range:
        """Which of the first ``count`` trials' points can be told from their numbers.

        After an edit those of a grid are found among what is no trial yet: then all its points are looked at.
        """
        if self.earlier and self.sampler.enumerates:
            count = len(self.initial) + (self.sampler.count(self.space) or count)
        return range(count)

    @property
    def known_trials(self) -> int:
        """How many trials have points that are known beforehand."""
        return min(len(self.initial), self.max_trials) if self.sampler.learns else self.max_trials

    def checked_point(self, assignment: Assignment) -> dict[str, Scalar]:
        """An assignment in canonical form, if a trial with it can be trained.

        Raises:
            InvalidStudy: It is not of the space, or its schedules are wrong or not finite.
        """
        found = self.space.checked(assignment)
        _check_point(self, found, "")
        return found

    def sequence(self, assignment: Assignment, repeat: int = 0) -> Sequence:
        """A trial's schedules, side by side; those of a repeat of it beside its seed."""
        return self._sequence(self.space.resolve(assignment), repeat)

    def hyperparameters(self, assignment: Assignment) -> dict[str, Any]:
        """A trial's hyper-parameters as JSON: schedules as objects, constants plain."""
        return hyperparameters_of(self.space, assignment)

    def sequence_of(self, hyperparameters: Mapping[str, Any], repeat: int = 0) -> Sequence:
        """A trial's schedules, given its hyper-parameters as :meth:`hyperparameters` gives them."""
        parts = {name: part_from_json(part, f"space[{name!r}]") for name, part in hyperparameters.items()}
        return self._sequence(parts, repeat)

    def _sequence(self, parts: Mapping[str, Any], repeat: int) -> Sequence:
        stretches = {name: self._stretches(name, part) for name, part in parts.items()}
        return Sequence({**stretches, **seed_schedule(self.program.seed, repeat)})

    def max_steps_of(self, assignment: Assignment) -> int:
        """How far a trial may be trained: a multiple of ``evaluate_every``."""
        if isinstance(self.max_steps, int):
            return round_up(self.max_steps, self.program.evaluate_every)
        return round_up(self._end(self.space.resolve(assignment)), self.program.evaluate_every)

    def differences(self, earlier: StudySpec, most: int = MOST_LINES) -> list[str]:
        """What differs from another study, as at most so many lines ``field: old -> new``; none: the content is
        equal.

        The bundle's digest is not content: the digest of the code that is trained is part of the program.
        """
        return difference_lines(earlier._content(), self._content(), most)

    def extends(self, earlier: StudySpec) -> bool:
        """Whether only ``max_trials`` or ``max_steps`` are larger, or the priority or the endings are others."""
        same = replace(
            self,
            priority=earlier.priority,
            bundle=earlier.bundle,
            endings=earlier.endings,
            earlier=earlier.earlier,
        )
        if isinstance(self.max_steps, int) and isinstance(earlier.max_steps, int) and self.policy.raisable:
            if self._limit() < earlier._limit():  # type: ignore[operator]
                return False
            same = replace(same, max_steps=earlier.max_steps)
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
    ) -> StudySpec:
        """The same study with other limits, endings or another priority; what is not given stays as it is.

        Raises:
            InvalidStudy: It would not be a valid study.
        """
        if max_steps not in (None, self.max_steps) and not self.policy.raisable:
            raise InvalidStudy(
                "max_steps",
                f"cannot be raised beside the policy {self.policy.name}, whose rungs follow from it",
                "Submit the study under another name: it shares what was trained.",
            )
        return replace(
            self,
            max_trials=self.max_trials if max_trials is None else max_trials,
            max_steps=self.max_steps if max_steps is None else max_steps,
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
            "priority": self.priority,
            "secrets": list(self.secrets),
            "endings": [each.to_json() for each in self.endings],
            "repeats": self.repeats,
            "earlier": self.earlier,
        }

    @classmethod
    def from_json(cls, json: Any) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            InvalidStudy: A value is wrong, missing or not known.
        """
        if not isinstance(json, Mapping):
            raise InvalidStudy("study", f"must be a JSON object, not {json!r}")
        known = [each.name for each in fields(cls)]
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

    def _end(self, resolved: Mapping[str, Any]) -> int:
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

    def _limit(self) -> int | None:
        if isinstance(self.max_steps, EndOf):
            return None
        return round_up(self.max_steps, self.program.evaluate_every)

    def _content(self) -> dict[str, Any]:
        content = self.to_json()
        del content["bundle"], content["earlier"]
        if self._limit() is not None:
            content["max_steps"] = self._limit()
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
    "secrets": _secrets,
    "initial": _initial,
    "endings": endings.from_json,
}


# Checks


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or not name.isprintable() or "/" in name or name != name.strip():
        raise InvalidStudy(
            "name", f"{name!r} is not a study's name", "Use text without '/' and outer spaces."
        )
    if len(name) > LONGEST_NAME:
        raise InvalidStudy("name", f"is longer than {LONGEST_NAME} characters")


def _check_objectives(objectives: tuple[Objective, ...]) -> None:
    if not objectives:
        raise InvalidStudy(
            "objectives", "there is none", "Give minimize= or maximize=, with a metric's name."
        )
    names = [objective.metric for objective in objectives]
    for name in names:
        if names.count(name) > 1:
            raise InvalidStudy("objectives", f"{name!r} is named twice")


def _check_endings(spec: StudySpec) -> None:
    object.__setattr__(spec, "endings", endings.checked(spec.endings))
    for each in spec.endings:
        if each.one_objective and len(spec.objectives) > 1:
            named = ", ".join(objective.metric for objective in spec.objectives)
            raise InvalidStudy(
                "endings",
                f"{each.word} looks at one objective, but there are {len(spec.objectives)}: {named}.",
                "Give one objective, or use endings.timeout() or endings.max_slot_hours().",
            )


def _check_policy(policy: PolicySpec, objectives: tuple[Objective, ...]) -> None:
    if len(objectives) > 1 and not policy.several_objectives:
        named = ", ".join(each.metric for each in objectives)
        raise InvalidStudy(
            "policy",
            f"{policy.name} compares trials by one objective, but there are {len(objectives)}: {named}.",
            "Give one objective, or use policies.asha() or policies.full().",
        )


def _check_pair(policy: PolicySpec, sampler: Sampler) -> None:
    """Points and steps of DEHB come together."""
    if isinstance(policy, DehbSpec) and not isinstance(sampler, Dehb):
        raise InvalidStudy(
            "sampler",
            f"policies.dehb() brings its own points; samplers.{sampler.to_json()['sampler']}() has no place beside it",
            "Leave sampler out; or use policies.hyperband().",
        )
    if isinstance(sampler, Dehb) and not isinstance(policy, DehbSpec):
        raise InvalidStudy(
            "policy",
            f"DEHB is a policy that brings its own points; policies.{policy.name}() has no place beside them",
            "Use policies.dehb(min_steps=1, reduction_factor=3), and leave sampler out.",
        )


def _check_limits(spec: StudySpec) -> None:
    require_int(spec.max_trials, "max_trials", 1, "It is how many trials the study has in all.")
    if spec.max_trials > MOST_TRIALS:
        raise InvalidStudy("max_trials", f"must be at most {MOST_TRIALS}, not {spec.max_trials}")
    if isinstance(spec.max_steps, EndOf):
        if spec.max_steps.name not in spec.space.kinds:
            names = list(spec.space.kinds)
            raise InvalidStudy(
                "max_steps",
                f"end_of({spec.max_steps.name!r}): there is no such hyper-parameter",
                suggestion(spec.max_steps.name, names),
            )
    else:
        require_int(spec.max_steps, "max_steps", 1, "It is how far any one trial may be trained.")
        if spec.max_steps > LARGEST_STEP:
            raise InvalidStudy("max_steps", f"must be at most {LARGEST_STEP}, not {spec.max_steps}")
    require_int(spec.earlier, "earlier", 0)
    require_int(spec.repeats, "repeats", 1, "It is how often each point is trained, with seeds of its own.")
    if spec.repeats > MOST_REPEATS:
        raise InvalidStudy("repeats", f"must be at most {MOST_REPEATS}, not {spec.repeats}")
    if SEED in spec.space.kinds:
        raise InvalidStudy(
            f"space[{SEED!r}]", "is the name of what repeats have for a seed", "Use another one."
        )
    if spec.checkpoint_every is not None:
        require_int(spec.checkpoint_every, "checkpoint_every", 1, "None saves as often as the cost allows.")
    for field in ("checkpoint_every", "evaluate_every"):
        every = spec.checkpoint_every if field == "checkpoint_every" else spec.program.evaluate_every
        if every is not None and every > LARGEST_STEP:
            raise InvalidStudy(field, f"must be at most {LARGEST_STEP}, not {every}")
    if isinstance(spec.priority, bool) or not isinstance(spec.priority, int) or abs(spec.priority) >= 2**31:
        raise InvalidStudy("priority", f"must be an int of 32 bits, not {spec.priority!r}")
    if not isinstance(spec.bundle, str):
        raise InvalidStudy("bundle", f"must be a digest, not {spec.bundle!r}")
    for secret in spec.secrets:
        if not isinstance(secret, str) or not secret.isidentifier():
            raise InvalidStudy("secrets", f"{secret!r} is not the name of an environment variable")


def _check_sampler(spec: StudySpec) -> None:
    if len(spec.objectives) > 1 and not spec.sampler.several_objectives:
        raise InvalidStudy(
            "sampler",
            f"{spec.sampler.to_json()['sampler']} has one objective, but there are {len(spec.objectives)}",
            "Use samplers.tpe() or samplers.nsga2().",
        )
    drawn = spec.max_trials - len(spec.initial)
    if drawn < 0:
        raise InvalidStudy(
            "initial", f"has {len(spec.initial)} points, which is more than max_trials={spec.max_trials}"
        )
    drawn = min(drawn, max(spec.max_trials - spec.earlier, 1))
    if drawn > 0:
        spec.sampler.check(spec.space, drawn)


def _check_initial(spec: StudySpec) -> None:
    checked = []
    for index, point in enumerate(spec.initial):
        try:
            checked.append(spec.space.checked(point))
        except InvalidStudy as error:
            raise InvalidStudy(f"initial[{index}]", error.message, error.hint) from None
    object.__setattr__(spec, "initial", tuple(checked))


def _check_points(spec: StudySpec) -> None:
    """Refuses a trial that cannot be trained, now rather than when its turn comes.

    Where nothing drawn can be wrong, one look at each schedule as written would do; as domains may stand in
    the place of milestones and periods, every trial is looked at unless the space is provably right. What a sampler
    will learn to propose is not known: some random points are looked at, and each proposal when it is made.
    """
    safe = spec.space.always_valid() and not spec.space.constraints and isinstance(spec.max_steps, int)
    count = spec.max_trials
    if spec.sampler.learns:
        count = min(count, spec.known_trials + EXAMPLES)
    for number in range(1) if safe else spec._numbers(count):
        whose = f"trial {number}" if number < spec.known_trials else "a random point"
        _check_point(spec, spec.point(number), whose)


def _check_point(spec: StudySpec, assignment: Assignment, whose: str) -> None:
    try:
        steps = spec.max_steps_of(assignment)
        found = spec.sequence(assignment).first_not_finite(steps)
    except InvalidStudy as error:
        if not assignment:
            raise
        drawn = canonical_json(dict(assignment))
        at = f"{whose}: {drawn}" if whose else drawn
        raise InvalidStudy(error.field, f"{error.message.partition(': ')[2]} ({at})", error.hint) from None
    if found is not None:
        step, name = found
        value = spec.sequence(assignment).values(step)[name]
        raise InvalidStudy(
            f"space[{name!r}]",
            f"is {value} at step {step}{f' of {whose}' if whose else ''}",
            "Values must be finite at every step up to max_steps.",
        )
