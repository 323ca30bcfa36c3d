"""What is checked of a study when it is made; each error names the field and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from hippo_core import schedule_forms
from hippo_core.arguments import suggestion
from hippo_core.byte_sizes import parse_bytes
from hippo_core.domains import HORIZON
from hippo_core.endings import MaxTrainedSteps
from hippo_core.errors import InvalidStudy
from hippo_core.names import require_name
from hippo_core.policies import AutoSpec, PolicySpec
from hippo_core.policies.own import OwnSpec
from hippo_core.policies.population import PopulationSpec
from hippo_core.program import canonical_json, require_int
from hippo_core.repeats import MOST_REPEATS, SEED
from hippo_core.samplers import Sampler
from hippo_core.space import Assignment, EndOf
from hippo_core.values import Scalar

if TYPE_CHECKING:
    from hippo_core.objective import Objective
    from hippo_core.study import StudySpec

LARGEST_STEP = 2**40
MOST_TRIALS = 1_000_000  # of most samplers all are made when the study is submitted, some at a time
EXAMPLES = 256  #: how many random points are looked at where the sampler's own are not known yet


def check_parts(spec: StudySpec) -> None:
    """Refuses fields that are wrong, or that do not fit one another.

    Raises:
        InvalidStudy: One is, or does not.
    """
    require_name(spec.name)
    _check_objectives(spec.objectives)
    _check_endings(spec)
    _check_constraints(spec)
    _check_limits(spec)
    if spec.program.kinds != spec.space.kinds:
        raise InvalidStudy("program.kinds", "do not agree with the space")
    _check_policy(spec.policy, spec.objectives)
    if spec.horizons:
        _check_horizons(spec)
        return  # all else is what is searched, which is checked as a study of its own
    spec.policy.check_search(spec.space, spec.max_trials, spec.limit, spec.program.evaluate_every)
    _check_pair(spec.policy, spec.sampler)
    spec.policy.check(spec.limit, spec.program.evaluate_every)
    _check_sampler(spec)


def horizons(spec: StudySpec) -> tuple[int, ...]:
    """The horizons, ascending, if the study's space and max_steps go with them.

    Raises:
        InvalidStudy: One is no number of steps, or they contradict what else is given.
    """
    depends = HORIZON in spec.space.domains
    if not spec.horizons:
        if depends:
            raise missing_horizons()
        return ()
    found = sorted_horizons(spec.horizons)
    if not depends:
        raise InvalidStudy(
            "horizons",
            "no schedule of the space follows from them",
            "Write schedules.wsd(peak=..., warmup=..., decay=...) without stable, or leave horizons out.",
        )
    if spec.max_steps != found[-1]:
        shown = f"end_of({spec.max_steps.name!r})" if isinstance(spec.max_steps, EndOf) else spec.max_steps
        raise InvalidStudy(
            "max_steps",
            f"{shown} contradicts horizons, the longest of which is {found[-1]}",
            "Leave max_steps out: it follows from horizons.",
        )
    return found


def missing_horizons() -> InvalidStudy:
    """That a schedule follows from horizons, and there are none."""
    return InvalidStudy(
        "horizons",
        "are missing: a schedules.wsd whose stable part is left out follows from them",
        "Give horizons=[1000, 2000, 4000], or give wsd its stable part.",
    )


def sorted_horizons(given: Iterable[int]) -> tuple[int, ...]:
    """Horizons ascending, each once.

    Raises:
        InvalidStudy: One is no number of steps.
    """
    found = set()
    for each in given:
        found.add(require_int(each, "horizons", 1, "Each is a number of steps."))
        if each > LARGEST_STEP:
            raise InvalidStudy("horizons", f"must be at most {LARGEST_STEP}, not {each}")
    return tuple(sorted(found))


def _check_horizons(spec: StudySpec) -> None:
    """Refuses horizons that are one, and policies that cannot be asked for each horizon by itself."""
    every = spec.program.evaluate_every
    for one, other in pairwise(spec.horizons):
        if spec.rounded_up(one) == spec.rounded_up(other):
            raise InvalidStudy(
                "horizons",
                f"{one} and {other} are both evaluated at step {spec.rounded_up(one)}, for evaluate_every={every}",
                "Leave one of them out.",
            )
    one_length = spec.policy.proposes and not isinstance(spec.policy, AutoSpec)
    if one_length or isinstance(spec.policy, PopulationSpec | OwnSpec):
        raise InvalidStudy(
            "policy",
            f"{spec.policy.name} has one length for all trials, and the study has {len(spec.horizons)} horizons",
            "Use policies.asha() or policies.full(), or leave horizons out.",
        )
    for each in spec.lengths:
        spec.policy.check(each, every)
    spec.searched  # noqa: B018 - made here, where it is checked


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
    for each in spec.endings:
        if each.one_objective and len(spec.objectives) > 1:
            named = ", ".join(objective.metric for objective in spec.objectives)
            raise InvalidStudy(
                "endings",
                f"{each.word} looks at one objective, but there are {len(spec.objectives)}: {named}.",
                "Give one objective, or use endings.timeout() or endings.max_slot_hours().",
            )
        if isinstance(each, MaxTrainedSteps) and isinstance(spec.policy, OwnSpec):
            raise InvalidStudy(
                "endings",
                f"{each.word} cannot hold back what a policy of your own asks for",
                "Let the policy count, or use endings.max_slot_hours().",
            )


def _check_constraints(spec: StudySpec) -> None:
    """Refuses what cannot compare trials by constraints."""
    if not spec.constraints:
        return
    if not spec.policy.constrained:
        raise InvalidStudy("constraints", *spec.policy.why_unconstrained())
    if not spec.sampler.constrained:
        word = spec.sampler.to_json()["sampler"]
        raise InvalidStudy(
            "constraints",
            f"the sampler {word} learns from the objective alone, and would be drawn to what is not feasible",
            "Use samplers.tpe(), samplers.gp(), or samplers.nsga2().",
        )
    for each in spec.endings:
        if not each.constrained:
            raise InvalidStudy(
                "constraints",
                f"the ending {each.word} estimates what can be gained in the objective, feasible or not",
                "Use endings.plateau(patience=...).",
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
    """Where points and steps come together, neither has another beside it."""
    word = sampler.to_json()["sampler"]
    if policy.proposes and word != policy.name:
        raise InvalidStudy(
            "sampler",
            f"policies.{policy.name}() brings its own points; samplers.{word}() has no place beside it",
            "Leave sampler out; or use policies.asha().",
        )
    if sampler.brought and word != policy.name:
        raise InvalidStudy(
            "policy",
            f"{word} is a policy that brings its own points; policies.{policy.name}() has no place beside them",
            f"Use policies.{word}(), and leave sampler out.",
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
    if spec.checkpoint_budget is not None:
        require_int(spec.checkpoint_budget, "checkpoint_budget", 0, "None lets them grow with the storage's.")
        parse_bytes(spec.checkpoint_budget, "checkpoint_budget")
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


def initial_points(spec: StudySpec) -> tuple[Mapping[str, Scalar], ...]:
    """The points of the first trials in canonical form."""
    checked = []
    for index, point in enumerate(spec.initial):
        try:
            checked.append(spec.space.checked(point))
        except InvalidStudy as error:
            raise InvalidStudy(f"initial[{index}]", error.message, error.hint) from None
    return tuple(checked)


def check_points(spec: StudySpec) -> None:
    """Refuses a trial that cannot be trained, now rather than when its turn comes.

    Where nothing drawn can be wrong, one look at each schedule as written would do; as domains may stand in
    the place of milestones and periods, every trial is looked at unless the space is provably right. What a sampler
    will learn to propose is not known: some random points are looked at, and each proposal when it is made.
    """
    safe = spec.space.always_valid() and not spec.space.constraints and isinstance(spec.max_steps, int)
    count = spec.max_trials
    if spec.sampler.learns:
        count = min(count, spec.known_trials + EXAMPLES)
    for number in range(1) if safe else spec.numbers(count):
        whose = f"trial {number}" if number < spec.known_trials else "a random point"
        check_point(spec, spec.point(number), whose)


def check_point(spec: StudySpec, assignment: Assignment, whose: str) -> None:
    """Refuses a point with which no trial can be trained; ``whose`` says in words which point it is."""
    for each in spec.trials_of(assignment):
        _check_trial(spec, each, whose)


def _check_trial(spec: StudySpec, assignment: Assignment, whose: str) -> None:
    try:
        steps = spec.max_steps_of(assignment)
        found = spec.sequence(assignment).first_not_finite(steps)
        if spec.horizons:
            _check_ends(spec, assignment)
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


def _check_ends(spec: StudySpec, assignment: Assignment) -> None:
    """Refuses schedules that end at another step than their trial: a cosine, say, beside horizons."""
    horizon = assignment[HORIZON]
    for name, part in spec.space.resolve(assignment).items():
        end = schedule_forms.end(part)
        if end not in (None, horizon):
            raise InvalidStudy(
                f"space[{name!r}]",
                f"the schedule {part.kind} ends at step {end}, where the horizon is {horizon}",
                "Write schedules.wsd without stable, which follows from the horizon; or a schedule without an end, "
                "such as schedules.piecewise([..., last], milestones=[...]).",
            )
