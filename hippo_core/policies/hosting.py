"""A user's own policy at work: told what has happened, asked, and its verdicts checked.

A policy is asked in rounds. What a round comes to is a function of the rounds before it and of the round, if the
policy keeps its contract: so the policy of a process that was lost is made again by the same rounds.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hippo_core.own_policy import Decided, Policy, PolicyContext, PolicyTrial
from hippo_core.policies.policy import Extend, Stop

Call = tuple[Any, ...]
"""What a policy is told: ``("added", trial, max_steps)``, ``("requested", trial, step)``,
``("reported", trial, step, values)``, ``("observed", trial, step)`` or ``("ended", trial)``.

The values are the objectives, and where the study has constraints by how much they are violated; None: infinitely."""


class BadVerdict(Exception):
    """A policy decided what cannot be carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What a policy is told before it is asked.

    Attributes:
        calls: What has happened since the round before, in order.
        max_trials: How many trials the study has in all.
        finish: Whether no trial is on its way and none will be added, unless the policy decides something.
    """

    calls: tuple[Call, ...]
    max_trials: int
    finish: bool


class PolicyHost:
    """A policy, told and asked.

    Args:
        policy: Just made.
        context: What it knows of its study.
        arguments: What its ``setup`` is called with.

    Attributes:
        question: The method that was called last.
    """

    def __init__(self, policy: Policy, context: PolicyContext, arguments: Mapping[str, Any]) -> None:
        self.question: Callable[..., Any] = policy.setup
        self._policy = policy
        policy.context = context
        policy.trials = {}
        policy.max_trials = 0
        policy.setup(**arguments)

    def answer(self, told: Round) -> list[Decided]:
        """Tells the policy of a round and asks it.

        Raises:
            BadVerdict: What it decides cannot be carried out.
            Exception: Whatever it raises.
        """
        self._policy.max_trials = told.max_trials
        for call in told.calls:
            self._tell(call)
        found: list[Decided] = []
        while followed := self._ask("decide"):
            found += followed
        if not found and told.finish:
            found = self._ask("finish")
        return found

    def _tell(self, call: Call) -> None:
        trials = self._policy.trials
        match call:
            case ("added", number, max_steps):
                trial = trials.get(number)
                if trial is None:
                    trials[number] = PolicyTrial(number=number, max_steps=max_steps)
                    return
                trial.max_steps = max_steps
                if trial.ended:  # it is to be tried again, and what was asked for is asked for anew
                    trial.ended, trial.asked = False, trial.step
            case ("requested", number, step):
                trials[number].asked = max(trials[number].asked, step)
            case ("reported", number, step, values):
                if values is not None:
                    context = self._policy.context
                    objectives, violated = (
                        values[: len(context.objectives)],
                        values[len(context.objectives) :],
                    )
                    trials[number].values[step] = tuple(objectives)
                    trials[number].violations[step] = sum(
                        math.inf if each is None else each for each in violated
                    )
                    sign = 1.0 if context.maximize[0] else -1.0
                    trials[number].scores[step] = sign * values[0]
            case ("observed", number, step):
                trials[number].step = max(trials[number].step, step)
            case ("ended", number):
                trials[number].ended = True
            case _:
                raise AssertionError(f"a policy is not told {call!r}")

    def _ask(self, name: str) -> list[Decided]:
        """Those of its verdicts that change something, which are taken to be carried out."""
        self.question = getattr(self._policy, name)
        decided = self.question()
        if not isinstance(decided, Iterable):
            raise BadVerdict(f"{name} returned {decided!r}: return a list of verdicts, or yield them")
        return [each for each in map(_in_plain_ints, decided) if self._carry_out(each)]

    def _carry_out(self, verdict: Decided) -> bool:
        if not isinstance(verdict.reason, str):
            raise BadVerdict(f"{verdict!r}: reason must be text")
        trial = self._policy.trials.get(verdict.trial)
        if trial is None:
            raise BadVerdict(f"{verdict!r}: there is no trial {verdict.trial}")
        if isinstance(verdict, Stop):
            if not isinstance(verdict.completes, bool):
                raise BadVerdict(f"{verdict!r}: completes must be True or False, not {verdict.completes!r}")
            changes = not (trial.ended or trial.stopped or trial.done)
            trial.stopped = trial.stopped or changes
            return changes
        self._check_step(verdict, trial)
        if trial.ended or trial.stopped or verdict.to == trial.asked:
            return False
        trial.asked = verdict.to
        return True

    def _check_step(self, verdict: Extend, trial: PolicyTrial) -> None:
        every, to = self._policy.context.evaluate_every, verdict.to
        if to % every:
            raise BadVerdict(
                f"{verdict!r}: {to} is no multiple of evaluate_every={every}; self.context.round_up(step) gives one"
            )
        if to > trial.max_steps:
            raise BadVerdict(f"{verdict!r}: trial {trial.number} may be trained up to step {trial.max_steps}")
        if to < max(trial.asked, 1):
            raise BadVerdict(f"{verdict!r}: trial {trial.number} was extended to step {trial.asked} before")


def _in_plain_ints(verdict: Any) -> Decided:
    """A verdict with Python's ints, whatever integers it was given: NumPy's, say."""
    match verdict:
        case Extend():
            return replace(verdict, trial=_int(verdict, "trial"), to=_int(verdict, "to"))
        case Stop():
            return replace(verdict, trial=_int(verdict, "trial"))
        case _:
            raise BadVerdict(f"it decided {verdict!r}, which is neither Extend nor Stop")


def _int(verdict: Decided, name: str) -> int:
    given = getattr(verdict, name)
    if not isinstance(given, bool):
        try:
            return operator.index(given)
        except TypeError:
            pass
    raise BadVerdict(f"{verdict!r}: {name} must be an int, not {given!r}")


# Between processes


def verdict_to_json(verdict: Decided) -> dict[str, Any]:
    """A verdict as a JSON object."""
    match verdict:
        case Extend():
            return {"extend": verdict.trial, "to": verdict.to, "reason": verdict.reason}
        case Stop():
            return {"stop": verdict.trial, "completes": verdict.completes, "reason": verdict.reason}


def verdict_from_json(json: Any) -> Decided:
    """The inverse of :func:`verdict_to_json`.

    Raises:
        ValueError: It is none.
    """
    match json:
        case {"extend": int() as trial, "to": int() as to, "reason": str() as reason}:
            return Extend(int(trial), int(to), reason)
        case {"stop": int() as trial, "completes": bool() as completes, "reason": str() as reason}:
            return Stop(int(trial), reason, completes)
    raise ValueError(f"{json!r} is no verdict")


def round_to_json(told: Round) -> dict[str, Any]:
    """A round as a JSON object."""
    return {
        "calls": [list(call) for call in told.calls],
        "max_trials": told.max_trials,
        "finish": told.finish,
    }


def round_from_json(json: Mapping[str, Any]) -> Round:
    """The inverse of :func:`round_to_json`."""
    return Round(
        calls=tuple(tuple(call) for call in json["calls"]),
        max_trials=json["max_trials"],
        finish=json["finish"],
    )
