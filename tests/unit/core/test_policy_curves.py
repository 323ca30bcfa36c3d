"""The policies that look at every evaluation, against what they ought to decide, on random histories."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from hippo_core.policies import Stop
from hippo_core.policies.curves import quantile
from tests.unit.core import policy_oracles
from tests.unit.core.policy_calls import Caller, constrained

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
            lambda *trial: policy_oracles.lags(*trial, 0.5, first, least),
        )
    if kind == "percentile":
        share, least = draw(st.sampled_from([10.0, 25.0, 80.0])), draw(st.integers(1, 4))
        return (
            policies.percentile_stopping(share, first, least),
            lambda *trial: policy_oracles.lags(*trial, share / 100, first, least),
        )
    bound = draw(st.sampled_from([0.25, 0.5]))
    return (
        policies.threshold_stopping(bound, first),
        lambda *trial: policy_oracles.too_bad(*trial, bound, first),
    )


class Judging(Caller):
    """Compares each verdict, when it falls, with an oracle."""

    oracle = None

    def look_at_verdict(self, number, verdict):
        is_finite = self.values(number, self.trials[number].evaluated) is not None
        assert not is_finite or (verdict is not None) == self.oracle(self, number)
        assert self.policy.judge(number) == verdict


@settings(max_examples=60)
@given(
    specs(), st.booleans(), st.sampled_from([1, 1, 2]), st.sampled_from([4, 1000]), st.integers(0, 2), SEEDS
)
def test_each_evaluation_is_judged_when_it_is_told_by_what_is_known_then(
    made, maximize, every, distinct, constraints, seed
):
    """Whoever is judged badly at a step is stopped there; all others are trained to their ends."""
    spec, oracle = made
    chosen = random.Random(seed)
    values = constrained(worth(seed, distinct), seed, constraints)
    caller = Judging(spec, (maximize,), values, every=every)
    caller.oracle = oracle

    def look(caller):
        verdicts = caller.policy.decide()
        expected = {
            number: trial.max_steps
            for number, trial in caller.trials.items()
            if not trial.ended
            and not (trial.state == "cut" and trial.deepest < trial.asked)
            and (trial.deepest if trial.retried else trial.asked) < trial.max_steps
        }
        assert {each.trial: each.to for each in verdicts} == expected
        assert caller.policy.decide() == verdicts
        if chosen.random() < 0.3:
            again = caller.restarted(chosen)
            assert again.decide() == verdicts
            assert again.curves == caller.policy.curves

    caller.live(chosen, steps=50, most=16, look=look)
    steps = [(number, step) for number, step, _ in caller.judged]
    assert len(set(steps)) == len(steps)


@settings(max_examples=30)
@given(st.booleans(), st.integers(1, 4), st.sampled_from([0.25, 0.5]), st.integers(0, 1), SEEDS)
def test_a_threshold_stops_the_same_trials_at_the_same_steps_in_whatever_order_they_come(
    maximize, first, bound, constraints, seed
):
    """1. Trials come in random portions. 2. Each is stopped at its first bad step, also at its last, or completed."""
    chosen = random.Random(seed)
    values = constrained(worth(seed, 4), seed, constraints)
    caller = Caller(policies.threshold_stopping(bound, first), (maximize,), values)
    caller.add(6, 9)
    caller.carry_out()
    while caller.open:
        number = chosen.choice(caller.open)
        step = caller.trials[number].evaluated + chosen.randrange(1, 10)
        if step < 9:
            caller.evaluate(number, step)
        else:
            caller.answer(number)
    for number, trial in caller.trials.items():
        curve = [values(number, step) for step in range(1, 10)]
        last = next(
            (
                step
                for step, value in enumerate(curve, start=1)
                if value is None
                or (step >= first and any(margin > 0 for margin in value[1:]))
                or (step >= first and (value[0] < bound if maximize else value[0] > bound))
            ),
            None,
        )
        assert trial.evaluated == (last or 9)
        assert trial.state == (
            "resting" if last is None else "diverged" if curve[last - 1] is None else "cut"
        )


@pytest.mark.parametrize(
    ("spec", "bad"),
    [(policies.median_stopping(), {0, 1, 2}), (policies.threshold_stopping(0.0), {0, 1, 2, 3})],
)
def test_who_was_stopped_is_not_trained_further_when_limits_are_raised(spec, bad):
    """1. Trials come to step 1, the best ones first. 2. The rest is trained to its end, and then beyond."""
    caller = Caller(spec, (True,), lambda trial, step: (float(trial - 4),))
    caller.add(8, 9)
    caller.carry_out()
    for number in reversed(range(8)):
        caller.evaluate(number, 1)
    assert {trial.number for trial in caller.trials.values() if trial.state == "cut"} == bad
    for number in caller.open:
        caller.answer(number)
    caller.raise_limit(27)
    assert sorted(caller.carry_out()) == [(number, 27) for number in range(8) if number not in bad]


def test_a_trial_whose_beginning_is_known_is_stopped_at_the_first_step_at_which_it_lags():
    """1. Three trials have come to step 6. 2. A fourth, known up to there, lags at step 2, and leads from step 4 on."""
    curves = {number: [-float(number)] * 9 for number in range(3)} | {3: [-5.0, -5.0, -5.0, 9.0, 9.0, 9.0]}
    spec = policies.median_stopping(min_steps=2, min_trials=3)
    caller = Caller(spec, (True,), lambda trial, step: (curves[trial][step - 1],))
    caller.add(4, 9)
    caller.carry_out()
    for number in range(4):
        caller.evaluate(number, 6)
    assert [each for each in caller.judged if each[2] is not None] == [
        (3, 2, Stop(3, "its best up to step 2, -5, is worse than -1, the median of the averages of 3 others"))
    ]
    assert caller.trials[3].reached == 2


def test_nobody_is_stopped_at_its_last_step_for_lagging_behind():
    """1. Three trials come to their ends, and jump there. 2. A fourth led up to the step before."""
    spec = policies.median_stopping(min_trials=3)
    caller = Caller(spec, (True,), lambda trial, step: (0.0 if trial == 3 else 99.0 if step == 9 else -1.0,))
    caller.add(4, 9)
    caller.carry_out()
    for number in range(4):
        caller.answer(number)
    assert {trial.state for trial in caller.trials.values()} == {"resting"}


def test_reasons_tell_the_numbers():
    bounded = Caller(policies.threshold_stopping(0.6, 2), (False,), lambda trial, step: (step / 2,))
    bounded.add(1, 9)
    bounded.carry_out()
    bounded.evaluate(0, 4)
    assert bounded.judged[-1] == (0, 2, Stop(0, "1 at step 2 is worse than 0.6"))


def test_a_quantile_lies_between_its_neighbours():
    ordered = [(0.0, 1.0), (0.0, 2.0), (0.5, 4.0), (math.inf, 1.0)]
    assert quantile(ordered[:3], 0.5) == (0.0, 2.0)
    assert quantile(ordered[:3], 0.75) == (0.25, 3.0)
    assert quantile(ordered[:3], 0.5, without=1) == (0.25, 2.5)
    assert quantile([(0.0, 3.0)], 0.9) == (0.0, 3.0)
    assert quantile(ordered, 0.9) == (math.inf, pytest.approx(1.9))
    assert quantile(ordered, 1.0) == (math.inf, 1.0)
    assert quantile(ordered[3:] * 2, 0.5) == (math.inf, 1.0)
