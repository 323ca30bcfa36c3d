"""Patience against what it ought to decide, on random histories."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from hippo_core.policies import Extend, Stop
from tests.unit.core import policy_oracles
from tests.unit.core.policy_calls import Caller, constrained

ARGUMENTS = st.tuples(st.integers(1, 4), st.sampled_from([0.0, 0.25, 0.3]), st.integers(1, 6))
SEEDS = st.integers(0, 2**32)


def worth(seed, distinct):
    def values(trial, step):
        drawn = random.Random(f"{seed} {trial} {step}")
        return None if drawn.random() < 0.02 else (drawn.randrange(distinct) / 4,)

    return values


@settings(max_examples=80)
@given(
    ARGUMENTS,
    st.booleans(),
    st.sampled_from([1, 1, 2]),
    st.sampled_from([4, 1000]),
    st.integers(0, 2),
    SEEDS,
)
def test_each_trial_is_asked_for_what_its_patience_lasts(
    arguments, maximize, every, distinct, constraints, seed
):
    """After every call, and after a restart: a function of each trial's own evaluations."""
    chosen = random.Random(seed)
    values = constrained(worth(seed, distinct), seed, constraints)
    caller = Caller(policies.patience(*arguments), (maximize,), values, every=every)

    def look(caller):
        verdicts = caller.policy.decide()
        wanted = {each.trial: getattr(each, "to", None) for each in verdicts}
        assert wanted == policy_oracles.patience(caller, *arguments)
        assert caller.policy.decide() == verdicts
        if chosen.random() < 0.3:
            assert caller.restarted(chosen).decide() == verdicts

    caller.live(chosen, steps=60, most=20, look=look)


@settings(max_examples=60)
@given(ARGUMENTS, st.integers(1, 12), SEEDS, SEEDS)
def test_where_a_trial_ends_depends_on_nothing_but_its_curve(arguments, count, seed, order):
    """1. Trials that are answered in some order, with reports on the way or without. 2. Each alone. The same ends."""
    values = worth(seed, 6)
    chosen = random.Random(order)
    caller = Caller(policies.patience(*arguments), (True,), values)
    caller.add(count, 20)
    caller.carry_out()
    while caller.open:
        number = chosen.choice(caller.open)
        if chosen.random() < 0.5:
            caller.evaluate(number, chosen.randrange(caller.trials[number].asked + 1))
        else:
            caller.answer(number)
        caller.carry_out()
    for number, trial in caller.trials.items():
        alone = Caller(
            policies.patience(*arguments), (True,), lambda _, step, number=number: values(number, step)
        )
        alone.add(1, 20)
        alone.run()
        assert (trial.reached, trial.state) == (alone.trials[0].reached, alone.trials[0].state)


def test_it_goes_on_as_it_improves_and_is_done_when_it_does_not():
    improving = {1: 0.1, 2: 0.2, 3: 0.3}
    caller = Caller(policies.patience(2), (True,), lambda trial, step: (improving.get(step, 0.25),))
    caller.add(1, 9)
    assert caller.policy.decide() == [Extend(0, 3, "at first: its patience lasts to step 3")]
    caller.carry_out()
    caller.evaluate(0, 2)
    assert caller.policy.decide() == [Extend(0, 4, "improved at step 2: its patience lasts to step 4")]
    caller.carry_out()
    caller.answer(0)
    assert caller.carry_out() == [(0, 5)]
    caller.answer(0)
    assert caller.policy.decide() == [
        Stop(0, "no improvement on 0.3, at step 3, in 2 evaluations", completes=True)
    ]
    assert caller.carry_out() == [(0, None)]
    assert caller.policy.decide() == []
    caller.raise_limit(27)
    assert caller.policy.decide() == []


def test_a_raised_limit_takes_up_those_whose_patience_had_not_run_out():
    """Two trials come to their ends at step 4: one improves to the last, the other has not for two evaluations."""
    caller = Caller(policies.patience(2), (True,), lambda trial, step: (min(step, 2.0 if trial else 9.0),))
    caller.add(2, 4)
    caller.run()
    caller.raise_limit(6)
    assert caller.carry_out() == [(0, 6), (1, None)]
