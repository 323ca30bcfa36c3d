"""A user's own policy at work: what it sees, what it may decide, and what its verdicts are checked for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hippo_core.own_policy import Policy, PolicyContext, PolicyTrial
from hippo_core.policies import Extend, Stop, Verdict
from hippo_core.policies.hosting import (
    BadVerdict,
    PolicyHost,
    Round,
    round_from_json,
    round_to_json,
    verdict_from_json,
    verdict_to_json,
)

CONTEXT = PolicyContext(objectives=("loss",), maximize=(False,), evaluate_every=2, seed=7)
BEGIN = (("added", 0, 8), ("added", 1, 6))


def policy(decide: Callable[[Any], Any], finish: Callable[[Any], Any] = lambda _: ()) -> Policy:
    """A policy that decides as a function says."""

    class Made(Policy):
        def decide(self) -> Iterable[Verdict]:
            return decide(self)  # type: ignore[no-any-return]

        def finish(self) -> Iterable[Verdict]:
            return finish(self)  # type: ignore[no-any-return]

    return Made()


def told(*calls: Any, finish: bool = False, max_trials: int = 2) -> Round:
    return Round(calls=calls, max_trials=max_trials, finish=finish)


def answers(made: Policy, *rounds: Round) -> list[list[Verdict]]:
    host = PolicyHost(made, CONTEXT, {})
    return [host.answer(each) for each in rounds]


def test_it_sees_what_it_was_told() -> None:
    made = policy(lambda _: ())
    answers(
        made,
        told(
            *BEGIN, ("requested", 0, 4), ("reported", 0, 2, (1.5,)), ("reported", 0, 4, (0.5,)), max_trials=9
        ),
        told(("observed", 0, 4), ("ended", 1)),
    )
    assert (made.context, made.max_trials) == (CONTEXT, 2)
    trial = made.trials[0]
    assert (trial.number, trial.max_steps, trial.asked, trial.step) == (0, 8, 4, 4)
    assert trial.values == {2: (1.5,), 4: (0.5,)}
    assert trial.scores == {2: -1.5, 4: -0.5}
    assert (trial.rests, trial.done) == (True, False)
    assert made.trials[1].ended
    assert not made.trials[1].rests


def test_it_sees_by_how_much_constraints_are_violated() -> None:
    made = policy(lambda _: ())
    reported = [("reported", 0, step, (1.5, violated)) for step, violated in ((2, 0.25), (4, 0.0), (6, None))]
    answers(made, told(*BEGIN, ("requested", 0, 8), *reported, ("reported", 1, 2, (1.5,))))
    assert made.trials[0].values == dict.fromkeys((2, 4, 6), (1.5,))
    assert made.trials[0].violations == {2: 0.25, 4: 0.0, 6: math.inf}
    assert made.trials[1].violations == {2: 0.0}


def test_it_is_asked_until_nothing_follows_as_if_its_verdicts_were_carried_out() -> None:
    def decide(self: Policy) -> list[Verdict]:
        first = next((trial for trial in self.trials.values() if trial.rests), None)
        return [] if first is None else [Extend(first.number, 2, "one at a time")]

    (found,) = answers(policy(decide), told(*BEGIN))
    assert [(each.trial, each.to) for each in found] == [(0, 2), (1, 2)]  # type: ignore[union-attr]


def test_what_is_so_already_or_concerns_an_ended_trial_is_no_verdict() -> None:
    def decide(self: Policy) -> list[Verdict]:
        return [Extend(each.number, each.max_steps, "to its end") for each in self.trials.values()]

    first, second, third = answers(
        policy(decide), told(*BEGIN), told(("observed", 0, 8)), told(("ended", 1), ("added", 2, 4))
    )
    assert [(each.trial, each.to) for each in first] == [(0, 8), (1, 6)]  # type: ignore[union-attr]
    assert second == []
    assert [each.trial for each in third] == [2]


def test_a_trial_is_stopped_once_and_not_when_it_is_done() -> None:
    def decide(self: Policy) -> list[Verdict]:
        return [Stop(each.number, "enough") for each in self.trials.values()]

    made = policy(decide)
    first, second = answers(
        made, told(*BEGIN, ("requested", 0, 8), ("observed", 0, 8)), told(("added", 2, 8))
    )
    assert [each.trial for each in first] == [1]
    assert [each.trial for each in second] == [2]
    assert made.trials[1].stopped
    assert not made.trials[1].rests


def test_it_is_asked_whether_anything_follows_only_where_nothing_did_before() -> None:
    asked: list[str] = []

    def decide(self: Policy) -> list[Verdict]:
        return [Extend(1, 6, "")] if self.trials[1].asked == 0 else []

    def finish(self: Policy) -> list[Verdict]:
        asked.append("finish")
        return [Extend(0, 8, "the last")] if self.trials[0].rests else []

    first, second, third = answers(
        policy(decide, finish), told(*BEGIN, finish=True), told(finish=True), told(finish=True)
    )
    assert [[each.trial for each in found] for found in (first, second, third)] == [[1], [0], []]
    assert asked == ["finish", "finish"]


def test_a_trial_that_is_tried_again_is_on_its_way_again() -> None:
    made = policy(lambda _: ())
    answers(made, told(*BEGIN, ("requested", 0, 4), ("observed", 0, 4), ("requested", 0, 8), ("ended", 0)))
    assert (made.trials[0].ended, made.trials[0].rests) == (True, False)
    again = policy(lambda _: ())
    answers(
        again,
        told(
            *BEGIN,
            ("requested", 0, 4),
            ("observed", 0, 4),
            ("requested", 0, 8),
            ("ended", 0),
            ("added", 0, 8),
        ),
        told(("requested", 0, 8)),
    )
    assert (again.trials[0].ended, again.trials[0].asked, again.trials[0].rests) == (False, 8, False)


def test_a_raised_limit_lets_a_trial_that_was_done_rest() -> None:
    made = policy(lambda _: ())
    answers(made, told(*BEGIN, ("requested", 1, 6), ("observed", 1, 6)), told(("added", 1, 12)))
    assert made.trials[1].rests


def test_an_evaluation_that_is_not_finite_is_no_value() -> None:
    made = policy(lambda _: ())
    answers(made, told(*BEGIN, ("reported", 0, 2, None), ("observed", 0, 2), ("ended", 0)))
    assert made.trials[0].values == {}


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("go on", "neither Extend nor Stop"),
        (Extend(9, 2, ""), "there is no trial 9"),
        (Extend(np.int64(9), 2, ""), "there is no trial 9"),
        (Extend(True, 2, ""), "trial must be an int, not True"),
        (Extend(np.True_, 2, ""), "trial must be an int, not "),
        (Stop("0", ""), "trial must be an int, not '0'"),
        (Extend([0], 2, ""), "trial must be an int, not [0]"),
        (Extend(0, 3, ""), "3 is no multiple of evaluate_every=2"),
        (Extend(0, 10, ""), "trial 0 may be trained up to step 8"),
        (Extend(0, 2.0, ""), "to must be an int, not 2.0"),
        (Extend(0, True, ""), "to must be an int, not True"),
        (Extend(0, 0, ""), "trial 0 was extended to step 4 before"),
        (Extend(0, 2, ""), "trial 0 was extended to step 4 before"),
        (Extend(0, 6, None), "reason must be text"),
        (Stop(0, "", "yes"), "completes must be True or False, not 'yes'"),
    ],
)
def test_what_cannot_be_carried_out_is_told_in_words(verdict: Any, words: str) -> None:
    with pytest.raises(BadVerdict) as caught:
        answers(policy(lambda _: [verdict]), told(*BEGIN, ("requested", 0, 4)))
    assert words in str(caught.value)


@pytest.mark.parametrize("method", ["decide", "finish"])
@pytest.mark.parametrize("returned", [None, 42, Stop(0, "enough")])
def test_what_is_no_list_of_verdicts_is_a_failure(method: str, returned: Any) -> None:
    """A ``return`` that was forgotten is not the answer that nothing is to be done."""
    made = policy((lambda _: returned) if method == "decide" else (lambda _: []), lambda _: returned)
    with pytest.raises(BadVerdict) as caught:
        answers(made, told(*BEGIN, finish=True))
    assert str(caught.value) == f"{method} returned {returned!r}: return a list of verdicts, or yield them"


def test_integers_of_numpy_are_integers() -> None:
    """They come out as Python's, which travel."""
    verdicts = [Extend(np.int64(0), np.int32(4), "go"), Stop(np.uint8(1), "enough")]  # type: ignore[arg-type]
    (found,) = answers(policy(lambda _: verdicts), told(*BEGIN))
    assert found == [Extend(0, 4, "go"), Stop(1, "enough")]
    assert [verdict_from_json(json.loads(json.dumps(verdict_to_json(each)))) for each in found] == found


def test_setup_takes_the_arguments_of_the_study() -> None:
    class Made(Policy):
        def setup(self, *args: Any, window: int = 3) -> None:
            self.window = window

        def decide(self) -> list[Verdict]:
            return []

    class Plain(Policy):
        def decide(self) -> list[Verdict]:
            return []

    made = Made()
    PolicyHost(made, CONTEXT, {"window": 5})
    assert made.window == 5
    with pytest.raises(TypeError, match="windw"):
        PolicyHost(Made(), CONTEXT, {"windw": 5})
    with pytest.raises(TypeError, match="Plain has no setup to take window"):
        PolicyHost(Plain(), CONTEXT, {"window": 5})


@pytest.mark.parametrize(("step", "up"), [(0, 2), (1, 2), (2, 2), (2.5, 4), (3, 4), (8, 8)])
def test_steps_are_rounded_up_to_those_with_an_evaluation(step: float, up: int) -> None:
    assert CONTEXT.round_up(step) == up


@pytest.mark.parametrize("verdict", [Extend(3, 9, "go"), Stop(0, "enough"), Stop(1, "done", completes=True)])
def test_verdicts_travel(verdict: Verdict) -> None:
    assert verdict_from_json(json.loads(json.dumps(verdict_to_json(verdict)))) == verdict


@pytest.mark.parametrize(
    "plain",
    [{}, 3, {"extend": "0", "to": 1, "reason": ""}, {"stop": 0, "reason": ""}, {"stop": 0, "completes": 1}],
)
def test_other_objects_are_no_verdicts(plain: Any) -> None:
    with pytest.raises(ValueError, match="is no verdict"):
        verdict_from_json(plain)


def test_rounds_travel_and_their_numbers_with_them() -> None:
    values = (0.1 + 0.2, -0.0, 5e-324)
    sent = told(*BEGIN, ("reported", 0, 2, values), ("reported", 0, 4, None), finish=True)
    made = policy(lambda _: ())
    context = replace(CONTEXT, objectives=("a", "b", "c"), maximize=(True, False, True))
    host = PolicyHost(made, context, {})
    host.answer(round_from_json(json.loads(json.dumps(round_to_json(sent)))))
    assert repr(made.trials[0].values) == repr({2: values})
    assert isinstance(made.trials[0], PolicyTrial)
