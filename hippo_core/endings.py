"""Endings: what ends a study before all its trials have come to their end. The first that holds ends it.

All are totals of the study: they count on over restarts, pauses and extensions.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from hippo_core import arguments
from hippo_core.arguments import suggestion, worded
from hippo_core.errors import InvalidStudy

Improvement = Literal["regret_bound", "emmr", "best_value_stagnation"]


class Ending(ABC):
    """What ends a study; a small value."""

    word: ClassVar[str]  #: what a person calls it
    constrained: ClassVar[bool] = True  #: whether it can tell what is feasible, where it looks at values
    one_objective: ClassVar[bool] = False  #: whether it looks at values, which only one objective orders

    def to_json(self) -> dict[str, Any]:
        """The ending as ``{"ending": word, ...}``."""
        return {"ending": self.word, **{each.name: getattr(self, each.name) for each in fields(self)}}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout(Ending):
    """The study has been running for so long. The time for which it was paused, or no server ran, does not count.

    Attributes:
        seconds: For how long.
    """

    word = "timeout"
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxSlotHours(Ending):
    """So many slot hours went into the steps that the study waited for.

    Attributes:
        hours: How many.
    """

    word = "max_slot_hours"
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxTrainedSteps(Ending):
    """What is asked for next would need more fresh steps than are left: steps that nobody had trained.

    A step counts once, however many trials share it, and not again where a fault has it trained again.

    Attributes:
        steps: How many fresh steps the study may have trained.
    """

    word = "max_trained_steps"
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Ending):
    """A trial is as good as this, or better, at any evaluation; a feasible one, where the study has constraints.

    Attributes:
        value: Of the objective.
    """

    word = "target"
    one_objective = True
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau(Ending):
    """The best value has not improved over so many trials that came to their end.

    Attributes:
        patience: How many trials.
        min_change: By how much more than this a value must be better to be an improvement.
    """

    word = "plateau"
    one_objective = True
    patience: int
    min_change: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminator(Ending):
    """One of Optuna's terminators says that going on is not worth it: what could be gained is less than a threshold.

    Attributes:
        improvement: What estimates the gain: ``regret_bound`` (A. Makarova et al., "Automatic Termination for
            Hyperparameter Optimization", AutoML 2022), ``emmr`` (H. Ishibashi et al., "A stopping criterion for
            Bayesian optimization by the gap of expected minimum simple regrets", AISTATS 2023), or
            ``best_value_stagnation``, the trials that are left of a patience.
        threshold: The least gain that is worth going on, in the objective's unit, or trials; None: Optuna's median
            rule, 1 % of the median of the gains that were estimated at first.
        min_trials: It is asked once so many trials have completed.
        patience: Of ``best_value_stagnation``: how many trials; else None.
    """

    word = "terminator"
    one_objective = True
    constrained = False
    improvement: Improvement
    threshold: float | None
    min_trials: int
    patience: int | None


_TIME_PEERS = dict.fromkeys(
    ("timeout", "timeout_s", "time_s", "time", "max_time"), "hours, minutes or seconds"
)
_PATIENCE_PEERS = {
    "trials": "patience",
    "n_trials": "patience",
    "max_stagnation_trials": "patience",
    "num_trials": "patience",
    "min_delta": "min_change",
    "std": "min_change",
    "metric": "minimize or maximize, which are the study's",
    "mode": "minimize or maximize, which are the study's",
}


@worded("endings.timeout", _TIME_PEERS)
def timeout(hours: float = 0.0, minutes: float = 0.0, seconds: float = 0.0) -> Timeout:
    """Ends the study when it has been running for so long: pauses, and times without a server, do not count.

    Args:
        hours: Added to the others.
        minutes: Added to the others.
        seconds: Added to the others.
    """
    given = {"hours": (hours, 3600.0), "minutes": (minutes, 60.0), "seconds": (seconds, 1.0)}
    total = 0.0
    for name, (value, unit) in given.items():
        where = f"endings.timeout.{name}"
        found = arguments.number(value, where)
        if found < 0:
            raise InvalidStudy(where, f"must be at least 0, not {value!r}")
        total += found * unit
    if not 0 < total < float("inf"):
        raise InvalidStudy(
            "endings.timeout", f"{total:g} seconds end no study", "Write e.g. endings.timeout(hours=2)."
        )
    return Timeout(seconds=total)


@worded("endings.max_slot_hours", {"max_hours": "hours", "gpu_hours": "hours", "budget": "hours"})
def max_slot_hours(hours: float) -> MaxSlotHours:
    """Ends the study when so many slot hours went into steps that it waited for, shared ones in full.

    Args:
        hours: Hours of one slot each: 4 slots that train for 30 minutes are 2 of them.
    """
    found = arguments.number(hours, "endings.max_slot_hours.hours")
    if found <= 0:
        raise InvalidStudy("endings.max_slot_hours.hours", f"must be more than 0, not {hours!r}")
    return MaxSlotHours(hours=found)


@worded(
    "endings.max_trained_steps",
    {"budget": "steps", "max_steps": "steps", "n_steps": "steps", "epochs": "steps", "max_resource": "steps"},
)
def max_trained_steps(steps: int) -> MaxTrainedSteps:
    """Ends the study before it has more than so many steps trained that nobody had trained.

    It is never overrun: nothing is asked for that needs more steps than are left, with what is in flight counted. The
    study ends when what is to be asked for next does not fit, and nothing is in flight any more.

    Args:
        steps: How many. A step that trials share counts once; one that a fault has trained again, not again.
    """
    return MaxTrainedSteps(steps=arguments.integer(steps, "endings.max_trained_steps.steps", 1))


@worded("endings.target", {"metric": "minimize or maximize, which are the study's", "goal": "value"})
def target(value: float) -> Target:
    """Ends the study as soon as a trial is as good as this at any evaluation. That trial is completed where it stands.

    Args:
        value: Of the objective.
    """
    return Target(value=arguments.number(value, "endings.target.value"))


@worded("endings.plateau", _PATIENCE_PEERS)
def plateau(patience: int, min_change: float = 0.0) -> Plateau:
    """Ends the study when the best value has not improved over so many trials that came to their end.

    A trial counts when it is trained as far as the study lets it, or its policy completes it: its value there is
    compared. What rests at a rung on the way, is given up there, diverges or fails does not count.

    Args:
        patience: How many trials.
        min_change: A value is an improvement if it is better by more than this.
    """
    change = arguments.number(min_change, "endings.plateau.min_change")
    if change < 0:
        raise InvalidStudy("endings.plateau.min_change", f"must be at least 0, not {min_change!r}")
    return Plateau(patience=arguments.integer(patience, "endings.plateau.patience", 1), min_change=change)


@worded(
    "endings.terminator",
    {
        "improvement_evaluator": "improvement",
        "error_evaluator": "threshold",
        "min_n_trials": "min_trials",
        "max_stagnation_trials": "patience",
    },
)
def terminator(
    improvement: Improvement = "regret_bound",
    threshold: float | None = None,
    min_trials: int = 20,
    patience: int | None = None,
) -> Terminator:
    """Ends the study when one of Optuna's terminators estimates that less can be gained than is worth going on.

    It looks at trials that have completed. It is asked beside the training, which never waits for it.

    Args:
        improvement: ``"regret_bound"``, ``"emmr"`` or ``"best_value_stagnation"``.
        threshold: The least gain that is worth going on, in the objective's unit. By default 1 % of the median of what
            was estimated at first, which takes 30 trials; for ``best_value_stagnation`` 0.
        min_trials: It is asked once so many trials have completed.
        patience: Of ``best_value_stagnation``, which needs it: how many trials without improvement.
    """
    if improvement not in get_args(Improvement):
        known = get_args(Improvement)
        peers = {
            "RegretBoundEvaluator": "'regret_bound'",
            "EMMREvaluator": "'emmr'",
            "BestValueStagnationEvaluator": "'best_value_stagnation'",
        }
        raise InvalidStudy(
            "endings.terminator.improvement",
            f"there is no {improvement!r}",
            suggestion(str(improvement), known, peers),
        )
    stagnation = improvement == "best_value_stagnation"
    if stagnation is (patience is None):
        why = "is needed" if stagnation else "is no matter"
        raise InvalidStudy(
            "endings.terminator.patience",
            f"{why} of {improvement!r}",
            "It belongs to 'best_value_stagnation'.",
        )
    least = None if threshold is None else arguments.number(threshold, "endings.terminator.threshold")
    if least is not None and least < 0:
        raise InvalidStudy("endings.terminator.threshold", f"must be at least 0, not {threshold!r}")
    return Terminator(
        improvement=improvement,
        threshold=0.0 if stagnation and least is None else least,
        min_trials=arguments.integer(min_trials, "endings.terminator.min_trials", 1),
        patience=None if patience is None else arguments.integer(patience, "endings.terminator.patience", 1),
    )


ENDINGS: Mapping[str, Callable[..., Ending]] = {
    each.__name__: each for each in (timeout, max_slot_hours, max_trained_steps, target, plateau, terminator)
}
"""By word, in the order in which they are looked at."""

#: Words of other systems.
PEERS = {
    "max_time": "timeout",
    "budget": "max_trained_steps or max_slot_hours",
    "max_steps": "max_trained_steps",
    "stop": "target, plateau or timeout",
    "early_stopping": "plateau",
    "goal": "target",
    "stagnation": "plateau",
}


def checked(given: Any) -> tuple[Ending, ...]:
    """The endings of a study, in their order.

    Raises:
        InvalidStudy: They are no list of endings, or one is there twice.
    """
    if isinstance(given, Ending) or not isinstance(given, Iterable) or isinstance(given, str | Mapping):
        raise InvalidStudy(
            "endings", f"must be a list, not {given!r}", "Write endings=[endings.timeout(hours=2)]."
        )
    found = list(given)
    for each in found:
        if not isinstance(each, Ending):
            hint = (
                "Write e.g. endings.timeout(hours=2), endings.target(0.97) or endings.plateau(patience=10)."
            )
            if callable(each):
                hint = f"Call it: endings.{getattr(each, '__name__', 'timeout')}(...)."
            raise InvalidStudy("endings", f"{each!r} is no ending", hint)
        if sum(each.word == other.word for other in found) > 1:
            raise InvalidStudy("endings", f"{each.word} is there twice", "Give it once.")
    order = list(ENDINGS)
    return tuple(sorted(found, key=lambda each: order.index(each.word)))


def changed(before: Iterable[Ending], given: Iterable[Ending]) -> tuple[Ending, ...]:
    """The endings with those given in place of the ones of their kind."""
    return checked({each.word: each for each in (*before, *checked(given))}.values())


def from_json(json: Any) -> tuple[Ending, ...]:
    """The endings of a list of ``{"ending": word, ...}``.

    Raises:
        InvalidStudy: There is none of that word, or it has no such argument.
    """
    if not isinstance(json, list | tuple):
        raise InvalidStudy("endings", f"must be a list, not {json!r}")
    return checked([_from_json(each) for each in json])


def _from_json(json: Any) -> Ending:
    if not isinstance(json, Mapping) or "ending" not in json:
        raise InvalidStudy("endings", f"must be objects like {{'ending': 'target', ...}}, not {json!r}")
    word = json["ending"]
    if word not in tuple(ENDINGS):
        raise InvalidStudy("endings", f"there is no ending {word!r}", suggestion(str(word), ENDINGS, PEERS))
    return ENDINGS[word](**{str(key): value for key, value in json.items() if key != "ending"})
