import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core import policies
from hippo_core.policies.ladder import rungs


def wanted(policy):
    """Whom a policy wants to train, and how far."""
    return [(verdict.trial, verdict.to) for verdict in policy.decide()]


def carry_out(policy):
    """Opens what the policy wants, as the engine does."""
    found = wanted(policy)
    for trial, step in found:
        policy.requested(trial, step)
    return found


def observe(policy, trial, step, value):
    policy.observed(trial, step, None if value is None else (float(value),), trial)


def asha(maximize=True, evaluate_every=1, **arguments):
    return policies.asha(**arguments).build((maximize,), evaluate_every, 0)


class Run:
    """A study of a policy in which every request is answered at once, in an order of choice."""

    def __init__(self, policy, value):
        self.policy = policy
        self.value = value
        self.open = []
        self.reached = {}

    def add(self, trials, max_steps):
        for trial in trials:
            self.policy.added(trial, max_steps)
        self.open += carry_out(self.policy)

    def answer(self, choose=lambda count: 0):
        while self.open or self.finish():
            trial, step = self.open.pop(choose(len(self.open)))
            self.reached[trial] = step
            observe(self.policy, trial, step, self.value(trial, step))
            self.open += carry_out(self.policy)
        return self.reached

    def finish(self):
        self.open += [(verdict.trial, verdict.to) for verdict in self.policy.finish()]
        for trial, step in self.open:
            self.policy.requested(trial, step)
        return bool(self.open)

    def count_at_least(self, step):
        return sum(1 for reached in self.reached.values() if reached >= step)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1, 3, 27, 1), (1, 3, 9, 27)),
        ((1, 3, 28, 1), (1, 3, 9, 27, 28)),
        ((1, 3, 26, 1), (1, 3, 9, 26)),
        ((1, 3, 30, 5), (5, 10, 30)),
        ((2, 4, 100, 1), (2, 8, 32, 100)),
        ((1, 3, 1, 1), (1,)),
        ((5, 2, 3, 1), (3,)),
    ],
)
def test_rungs_are_powers_rounded_up_and_the_last_step(arguments, expected):
    assert rungs(*arguments) == expected


def test_asha_promotes_as_soon_as_a_trial_is_in_the_best_third_of_its_rung():
    """
    1. Six trials are added at once: all are asked for the first rung.
    2. Two are observed: a third of two is none.
    3. The third is the worst: the best of three is promoted.
    4. A better one comes fourth: a third of four is one, and that is now the better one: it is promoted too.
    """
    policy = asha()
    for trial in range(6):
        policy.added(trial, 27)
    assert carry_out(policy) == [(trial, 1) for trial in range(6)]
    observe(policy, 0, 1, 0.5)
    observe(policy, 1, 1, 0.4)
    assert policy.decide() == []
    observe(policy, 2, 1, 0.1)
    assert carry_out(policy) == [(0, 3)]
    observe(policy, 3, 1, 0.9)
    assert carry_out(policy) == [(3, 3)]
    observe(policy, 4, 1, 0.2)
    assert carry_out(policy) == []
    observe(policy, 5, 1, 0.3)
    assert carry_out(policy) == []  # the best two of six were promoted already


def test_asha_promotes_whom_a_larger_rung_lets_in():
    policy = asha()
    for trial in range(6):
        policy.added(trial, 27)
    carry_out(policy)
    for trial, value in enumerate([0.9, 0.8, 0.1, 0.2, 0.3]):
        observe(policy, trial, 1, value)
        carry_out(policy)
    observe(policy, 5, 1, 0.0)
    assert wanted(policy) == [(1, 3)]


def test_asha_minimises():
    policy = asha(maximize=False)
    for trial, value in enumerate([0.5, 0.1, 0.9]):
        policy.added(trial, 27)
        carry_out(policy)
        observe(policy, trial, 1, value)
    assert wanted(policy) == [(1, 3)]


def test_ties_go_to_the_lower_number_whatever_the_order_of_arrival():
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        policy = asha()
        for trial in range(3):
            policy.added(trial, 27)
        carry_out(policy)
        for trial in order:
            observe(policy, trial, 1, 0.5)
        assert wanted(policy) == [(0, 3)]


def test_a_diverged_trial_fills_its_rung_and_is_never_promoted():
    policy = asha()
    for trial in range(3):
        policy.added(trial, 27)
    carry_out(policy)
    for trial in range(2):
        observe(policy, trial, 1, None)
        policy.ended(trial)
    observe(policy, 2, 1, 0.1)
    assert wanted(policy) == [(2, 3)]


def test_a_failed_trial_is_not_promoted():
    policy = asha(reduction_factor=2)
    for trial in range(2):
        policy.added(trial, 8)
    carry_out(policy)
    observe(policy, 0, 1, 0.9)
    policy.ended(0)
    observe(policy, 1, 1, 0.1)
    assert policy.decide() == []


def test_a_retried_trial_is_asked_for_what_it_was_promoted_to():
    policy = asha()
    for trial, value in enumerate([0.9, 0.1, 0.1]):
        policy.added(trial, 27)
        carry_out(policy)
        observe(policy, trial, 1, value)
    assert carry_out(policy) == [(0, 3)]
    policy.ended(0)
    policy.added(0, 27)
    assert wanted(policy) == [(0, 3)]


def test_a_trial_that_the_engine_takes_up_again_can_be_promoted():
    policy = asha()
    for trial, value in enumerate([0.5, 0.1, 0.1]):
        policy.added(trial, 27)
        carry_out(policy)
        if trial == 0:
            policy.ended(0)
            policy.requested(0, 1)
        observe(policy, trial, 1, value)
    assert wanted(policy) == [(0, 3)]


def test_sixty_four_trials_are_halved_by_threes():
    run = Run(asha(min_steps=1, reduction_factor=3), lambda trial, step: -trial)
    run.add(range(64), 27)
    run.answer()
    assert [run.count_at_least(step) for step in (1, 3, 9, 27)] == [64, 21, 7, 2]
    assert run.reached[0] == 27


@given(st.integers(1, 40), st.integers(2, 4), st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_best_are_promoted_whatever_the_order_of_arrival(trials, factor, min_steps, random):
    """In any order: the best third of each rung is promoted, and somebody always comes to the end."""
    values = [random.random() for _ in range(trials)]
    run = Run(asha(min_steps=min_steps, reduction_factor=factor), lambda trial, step: values[trial])
    run.add(range(trials), 30)
    reached = run.answer(lambda count: random.randrange(count))
    ladder = rungs(min_steps, factor, 30, 1)
    for rung, above in pairwise(ladder):
        there = [trial for trial in range(trials) if reached[trial] >= rung]
        best = sorted(there, key=lambda trial: (-values[trial], trial))[: len(there) // factor]
        assert all(reached[trial] >= above for trial in best)
    assert max(reached.values()) == 30
    assert reached[max(range(trials), key=lambda trial: values[trial])] == 30


def test_few_trials_still_have_a_winner():
    run = Run(asha(), lambda trial, step: trial)
    run.add(range(2), 27)
    assert run.answer() == {0: 1, 1: 27}


def test_nothing_follows_where_nobody_has_a_value():
    policy = asha()
    policy.added(0, 27)
    carry_out(policy)
    observe(policy, 0, 1, None)
    policy.ended(0)
    assert policy.decide() == policy.finish() == []


def test_trials_with_other_limits_share_the_rungs_below_them():
    """
    1. Six trials compete at step 1, of which one ends at step 2: the best three of them go there.
    2. The one that ends there does not compete any more: of the other two, the better one goes on.
    """
    run = Run(asha(reduction_factor=2), lambda trial, step: -trial)
    run.add([0], 2)
    run.add(range(1, 6), 27)
    reached = run.answer()
    assert reached == {0: 2, 1: 4, 2: 2, 3: 1, 4: 1, 5: 1}


def test_a_raised_limit_promotes_the_best_of_all_whose_limit_was_raised():
    """Not whoever's limit is raised first."""
    policy = asha()
    for trial in range(9):
        policy.added(trial, 3)
    carry_out(policy)
    for trial in range(9):
        observe(policy, trial, 1, 0.5)
        carry_out(policy)
    for trial in range(3):
        observe(policy, trial, 3, trial)
    assert policy.finish() == []
    for trial in range(9):
        policy.added(trial, 9)
    assert wanted(policy) == [(2, 9)]


def test_a_raised_limit_lets_the_best_of_the_former_last_rung_go_on():
    run = Run(asha(), lambda trial, step: -trial)
    run.add(range(64), 27)
    run.answer()
    assert run.count_at_least(27) == 2
    run.add(range(64), 81)
    run.answer()
    assert run.reached[0] == 81
    assert run.count_at_least(81) == 1


def test_a_former_end_between_two_rungs_is_taken_up_again():
    run = Run(asha(reduction_factor=2), lambda trial, step: -trial)
    run.add(range(8), 5)
    run.answer()
    assert run.reached[0] == 5
    run.add(range(8), 16)
    run.answer()
    assert run.reached[0] == 16


def test_more_trials_join_the_rungs_that_are_there():
    run = Run(asha(), lambda trial, step: trial)
    run.add(range(9), 27)
    run.answer()
    before = dict(run.reached)
    run.add(range(9, 18), 27)
    run.answer()
    assert run.reached[17] == 27
    assert all(run.reached[trial] >= step for trial, step in before.items())


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.integers(2, 4))
def test_the_same_calls_give_the_same_decisions(values, factor):
    def decisions():
        policy = asha(reduction_factor=factor)
        found = []
        for trial, value in enumerate(values):
            policy.added(trial, 9)
            found.append(carry_out(policy))
            observe(policy, trial, 1, value)
            found.append(policy.decide())
            assert policy.decide() == found[-1]
            carry_out(policy)
        return found

    assert decisions() == decisions()


def test_an_infinite_budget_of_observations_stays_cheap():
    """Each observation looks at one rung's edge, not at all trials: 20,000 take no time worth measuring."""
    run = Run(asha(reduction_factor=2), lambda trial, step: math.sin(trial))
    run.add(range(20_000), 4)
    run.answer(lambda count: count - 1)
    assert run.count_at_least(4) >= 5_000
