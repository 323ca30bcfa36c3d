"""The policies that look at every evaluation, against what they ought to decide, on random histories."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from hippo_core.policies import Stop
from hippo_core.policies.curves import quantile
from tests.unit.core import policy_oracles
from tests.unit.core.policy_calls import Caller

SEEDS = st.integers(0, 2**32)


def worth(seed, distinct):
    def values(trial, step):
        drawn = random.Random(f"{seed} {trial} {step}")
        return None if drawn.random() < 0.02 else (drawn.randrange(distinct) / 4,)

    return values


@st.composite
def specs(draw):
    """A policy, with its oracle."""
    kind = draw(st.sampled_from(["median", "percentile", "threshold"]))
    first = draw(st.integers(1, 4))
    if kind == "median":
        least = draw(st.integers(1, 4))
        return (
            policies.median_stopping(first, least),
            lambda caller: policy_oracles.percentile(caller, 0.5, first, least),
        )
    if kind == "percentile":
        share, least = draw(st.sampled_from([10.0, 25.0, 80.0])), draw(st.integers(1, 4))
        return (
            policies.percentile_stopping(share, first, least),
            lambda caller: policy_oracles.percentile(caller, share / 100, first, least),
        )
    bound = draw(st.sampled_from([0.25, 0.5]))
    return (
        policies.threshold_stopping(bound, first),
        lambda caller: policy_oracles.too_bad(caller, bound, first),
    )


@settings(max_examples=60, deadline=None)
@given(specs(), st.booleans(), st.sampled_from([1, 1, 2]), st.sampled_from([4, 1000]), SEEDS)
def test_verdicts_are_a_function_of_what_is_known(made, maximize, every, distinct, seed):
    """After every call: who is on the way and judged badly is stopped, all others are trained to their ends."""
    spec, oracle = made
    chosen = random.Random(seed)
    caller = Caller(spec, (maximize,), worth(seed, distinct), every=every)

    def look(caller):
        verdicts = caller.policy.decide()
        stops = {verdict.trial for verdict in verdicts if isinstance(verdict, Stop)}
        assert stops == oracle(caller)
        expected = {
            number: trial.max_steps
            for number, trial in caller.trials.items()
            if not trial.ended
            and not (trial.state == "cut" and trial.deepest < trial.asked)
            and number not in stops
            and (trial.deepest if trial.retried else trial.asked) < trial.max_steps
        }
        assert {each.trial: each.to for each in verdicts if each.trial not in stops} == expected
        assert caller.policy.decide() == verdicts
        if chosen.random() < 0.3:
            assert caller.restarted(chosen).decide() == verdicts

    caller.live(chosen, steps=50, most=16, look=look)


@pytest.mark.parametrize("spec", [policies.median_stopping(), policies.threshold_stopping(0.0)])
def test_who_was_stopped_is_not_trained_further_when_limits_are_raised(spec):
    caller = Caller(spec, (True,), lambda trial, step: (float(trial - 4),))
    caller.add(8, 9)
    caller.carry_out()
    for step in range(1, 9):
        for number in list(caller.open):
            caller.evaluate(number, step)
        caller.carry_out()
    assert {trial.number for trial in caller.trials.values() if trial.state == "cut"} == {0, 1, 2, 3}
    for number in caller.open:
        caller.answer(number)
    caller.raise_limit(27)
    assert sorted(caller.carry_out()) == [(number, 27) for number in range(4, 8)]


def test_a_trial_whose_beginning_is_known_is_judged_by_all_of_it():
    """1. Three trials have come to step 6. 2. A fourth, known up to there already, is judged at once."""
    caller = Caller(policies.median_stopping(min_trials=3), (True,), lambda trial, step: (-float(trial),))
    caller.add(4, 9)
    caller.carry_out()
    for number in range(3):
        caller.evaluate(number, 6)
    assert caller.policy.decide() == []
    caller.evaluate(3, 6)
    assert caller.policy.decide() == [
        Stop(2, "its best up to step 6, -2, is worse than -1, the median of the averages of 3 others"),
        Stop(3, "its best up to step 6, -3, is worse than -1, the median of the averages of 3 others"),
    ]


def test_reasons_tell_the_numbers():
    bounded = Caller(policies.threshold_stopping(0.6, 2), (False,), lambda trial, step: (step / 2,))
    bounded.add(1, 9)
    bounded.carry_out()
    bounded.evaluate(0, 4)
    assert bounded.policy.decide() == [Stop(0, "1 at step 2 is worse than 0.6")]


def test_a_quantile_lies_between_its_neighbours():
    assert quantile([1.0, 2.0, 4.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 4.0], 0.75) == 3.0
    assert quantile([1.0, 2.0, 4.0], 0.5, without=1) == 2.5
    assert quantile([3.0], 0.9) == 3.0
