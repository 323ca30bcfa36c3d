"""PASHA against a replay of the order in which trials came."""

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from tests.unit.core import policy_oracles
from tests.unit.core.policy_calls import Caller, constrained

ARGUMENTS = st.fixed_dictionaries({"min_steps": st.integers(1, 2), "reduction_factor": st.integers(2, 3)})


def noisy(seed, noise, digits):
    """Curves that cross, or touch: each trial has its own end value, and its own noise at each step."""

    def values(trial, step):
        drawn = random.Random(f"{seed} {trial} {step}")
        end = random.Random(f"{seed} {trial}").random()
        if drawn.random() < 0.01:
            return None
        return (round(end * (1 - math.exp(-step / 4)) + noise * drawn.random(), digits),)

    return values


@settings(max_examples=60)
@given(
    ARGUMENTS,
    st.booleans(),
    st.sampled_from([0.0, 0.2, 2.0]),
    st.integers(0, 2),
    st.integers(0, 1),
    st.integers(0, 2**32),
)
def test_the_last_rung_moves_up_when_the_ranking_changes(
    arguments, maximize, noise, digits, constraints, seed
):
    """After every call: ASHA's promotions, below a last rung that is told from the order of arrival alone."""
    chosen = random.Random(seed)
    values = constrained(noisy(seed, noise, digits), seed, constraints)
    caller = Caller(policies.pasha(**arguments), (maximize,), values)
    caller.add(chosen.randrange(1, 20), 30)

    def look():
        last = policy_oracles.pasha_last_rung(caller, arguments)
        assert caller.policy.last_rung == last
        everything = policy_oracles.halving(caller, arguments)
        assert {verdict.trial: verdict.to for verdict in caller.policy.decide()} == {
            number: step
            for number, step in everything.items()
            if step <= last or caller.trials[number].retried
        }
        if chosen.random() < 0.3:
            again = caller.restarted(chosen)
            assert again.decide() == caller.policy.decide()
            assert again.last_rung == last

    for _ in range(60):
        caller.act(chosen, most=40, largest=31)
        look()


def run(values, count=27):
    caller = Caller(policies.pasha(1, 3), (True,), values)
    caller.add(count, 81)
    return caller, caller.run(choose=random.Random(1).choice)


def test_a_stable_ranking_ends_the_search_at_the_second_rung_and_trains_one_winner():
    """81 trials whose ranking never changes: nobody is promoted beyond step 3 but the best, which goes to the end."""
    _, reached = run(lambda trial, step: (trial + step / 100,), 81)
    assert sorted(set(reached.values())) == [1, 3, 81]
    assert [trial for trial, step in reached.items() if step == 81] == [80]


def test_a_ranking_that_turns_over_at_each_rung_leads_up_to_the_last():
    caller, reached = run(lambda trial, step: (trial if round(math.log(step, 3)) % 2 else -trial,), 81)
    assert caller.policy.last_rung == 81
    assert max(reached.values()) == 81


def test_noise_alone_is_not_taken_for_a_change_of_ranking():
    """1. Trials that are equal but for noise change places at every step. 2. Epsilon covers it after a few."""
    caller, _ = run(lambda trial, step: (0.5 + 0.01 * random.Random(100 * trial + step).random(),), 200)
    assert caller.policy.last_rung < 81


def test_trials_that_are_added_later_can_have_a_winner_of_their_own():
    caller, reached = run(lambda trial, step: (trial + step / 100,))
    assert reached[26] == 81
    caller.add(27, 81)
    assert caller.run(choose=random.Random(1).choice)[53] == 81


def test_the_winner_s_reason_tells_rank_and_value_where_the_ranking_was_stable():
    caller = Caller(policies.pasha(1, 3), (True,), lambda trial, step: (float(trial),))
    caller.add(9, 81)
    caller.carry_out()
    while caller.open:
        caller.answer(max(caller.open))
        caller.carry_out()
    (verdict,) = caller.policy.finish()
    assert (verdict.trial, verdict.to) == (8, 81)
    assert verdict.reason == "rank 1 of 3 at step 3, 8; the best where the ranking is stable: to its end"


def test_a_winner_that_fails_is_replaced():
    caller = Caller(policies.pasha(1, 3), (True,), lambda trial, step: (float(trial),))
    caller.add(9, 81)
    caller.carry_out()
    while caller.open:
        caller.answer(max(caller.open))
        caller.carry_out()
    assert caller.finish() == [(8, 81)]
    caller.fail(8)
    assert caller.finish() == [(7, 81)]
    caller.answer(7)
    assert caller.finish() == []


def test_of_the_best_model_one_trial_goes_to_the_end():
    """Six trials are two models at step 1, too few to promote one: PASHA trains one winner, not three."""
    caller = Caller(
        policies.pasha(1, 3, compare="models"),
        (True,),
        lambda trial, step: (float(trial % 2),),
        lambda trial, step: trial % 2 if step == 1 else 100 + trial,
    )
    caller.add(6, 81)
    assert caller.run() == {0: 1, 1: 81, 2: 1, 3: 1, 4: 1, 5: 1}
