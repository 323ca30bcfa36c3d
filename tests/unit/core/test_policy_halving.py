"""The halving policies against what they ought to decide, on random histories."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from hippo_core.policies.ladder import Brackets, bracket_shares
from tests.unit.core import policy_oracles
from tests.unit.core.policy_calls import Caller, constrained

ARGUMENTS = st.fixed_dictionaries({"min_steps": st.integers(1, 3), "reduction_factor": st.integers(2, 4)})
SEEDS = st.integers(0, 2**32)


def worth(seed, distinct, objectives=1):
    """Values of a trial at a step: few of them, so that there are ties; some are not finite; copies share models."""

    def values(trial, step):
        drawn = random.Random(f"{seed} {trial} {step}")
        found = tuple(float(drawn.randrange(distinct)) for _ in range(objectives))
        return None if drawn.random() < 0.01 else found

    return values


def shared(values, seed):
    """Trials that are copies of one another up to a step of their own."""

    def root(trial, step):
        drawn = random.Random(f"{seed} {trial}")
        return drawn.randrange(trial + 1) if step < drawn.choice([0, 3, 8, 99]) else trial

    return (
        lambda trial, step: values(root(trial, step), step),
        lambda trial, step: 1000 * step + root(trial, step),
    )


def plain(verdicts):
    return {verdict.trial: getattr(verdict, "to", None) for verdict in verdicts}


def expect_same_after_a_restart(caller, chosen):
    again = caller.restarted(chosen)
    assert again.decide() == caller.policy.decide()
    if not caller.open and not again.decide():
        assert again.finish() == caller.policy.finish()


POLICIES = st.sampled_from(["asha", "sha", "hyperband", "asynchronous hyperband"])


def made(name, arguments, most, compare):
    """The policy, with what the oracle is to know of it: the number of brackets, and whether it waits."""
    if name == "asha":
        return policies.asha(**arguments, brackets=most, compare=compare), most, False
    if name == "sha":
        return policies.sha(**arguments, compare=compare), 1, True
    waits = name == "hyperband"
    return policies.hyperband(**arguments, asynchronous=not waits, compare=compare), None, waits


@settings(max_examples=100)
@given(
    POLICIES,
    ARGUMENTS,
    st.integers(1, 3),
    st.sampled_from(["trials", "models"]),
    st.sampled_from([(True,), (False,), (True, False), (False, False, True)]),
    st.sampled_from([1, 1, 3]),
    st.sampled_from([3, 1000]),
    st.integers(0, 2),
    SEEDS,
)
def test_promotions_are_those_of_the_rungs_as_they_stand(
    name, arguments, most, compare, maximize, every, distinct, constraints, seed
):
    """After every call, in any order: what is wanted is a function of the record, and the same after a restart."""
    spec, most, waits = made(name, arguments, most, compare)
    values, model = shared(constrained(worth(seed, distinct, len(maximize)), seed, constraints), seed)
    chosen = random.Random(seed)
    caller = Caller(spec, maximize, values, model, every, mixed=True)

    def look(caller):
        expected = policy_oracles.halving(caller, arguments, compare, most, waits)
        assert plain(caller.policy.decide()) == expected
        assert caller.policy.decide() == caller.policy.decide()
        if not caller.open and not expected:
            last = policy_oracles.last_promotions(caller, arguments, compare, most)
            assert plain(caller.policy.finish()) == last
        if chosen.random() < 0.2:
            expect_same_after_a_restart(caller, chosen)

    caller.live(chosen, steps=70, look=look)


@settings(max_examples=100)
@given(
    ARGUMENTS,
    st.integers(1, 3),
    st.sampled_from(["trials", "models"]),
    st.sampled_from([3, 1000]),
    st.integers(0, 2),
    SEEDS,
)
def test_stopping_judges_each_by_those_who_came_before_it(
    arguments, most, compare, distinct, constraints, seed
):
    values, model = shared(constrained(worth(seed, distinct), seed, constraints), seed)
    chosen = random.Random(seed)
    caller = Caller(
        policies.asha(**arguments, brackets=most, stopping=True, compare=compare),
        (True,),
        values,
        model,
        mixed=True,
    )
    judged = {}

    def look(caller):
        expected = policy_oracles.stopping_verdicts(caller, arguments, compare, most)
        wanted = plain(caller.policy.decide())
        for number, goes_on in expected.items():
            trial = caller.trials[number]
            judged.setdefault((number, trial.deepest), goes_on)
            if not trial.ended and not trial.retried and trial.asked == trial.deepest:
                due = goes_on or trial.state != "cut"  # who was told to stop is not told again
                assert (number in wanted) is due
                assert not due or (wanted[number] is not None) is goes_on
        for number, trial in caller.trials.items():
            if trial.asked > trial.deepest > 0 and trial.state != "failed":
                assert judged[number, trial.deepest], "only who was among the best is asked for more"
        if chosen.random() < 0.3:
            expect_same_after_a_restart(caller, chosen)

    caller.add(chosen.randrange(1, 8), chosen.randrange(4, 30))
    for _ in range(70):
        caller.act(chosen, most=30, largest=2)  # no limit is raised
        look(caller)


@pytest.mark.parametrize("brackets", [1, 3])
def test_stopping_leaves_nobody_waiting(brackets):
    """All trials have been stopped or have come to their end when nothing is open."""
    caller = Caller(policies.asha(1, 3, brackets=brackets, stopping=True), (True,), worth(1, 1000))
    caller.add(50, 27)
    caller.run(choose=random.Random(2).choice)
    for trial in caller.trials.values():
        assert trial.state in {"cut", "diverged"} or trial.reached == 27
    assert sum(trial.reached == 27 for trial in caller.trials.values()) >= 1


def test_who_was_stopped_stays_so_when_limits_are_raised():
    caller = Caller(policies.asha(1, 3, stopping=True), (True,), lambda trial, step: (-float(trial),))
    caller.add(9, 9)
    caller.run()
    stopped = {trial.number for trial in caller.trials.values() if trial.state == "cut"}
    assert stopped == set(range(1, 9))
    caller.raise_limit(27)
    assert caller.carry_out() == [(0, 27)]


@settings(max_examples=60)
@given(ARGUMENTS, st.integers(1, 60), st.sampled_from([3, 1000]), SEEDS)
def test_asha_promotes_nobody_outside_the_best_part_of_its_rung(arguments, count, distinct, seed):
    """Whatever the order of arrival: at the moment of its promotion, a trial is in the best 1/reduction_factor."""
    chosen = random.Random(seed)
    caller = Caller(policies.asha(**arguments), (True,), worth(seed, distinct))
    caller.add(count, 30)
    caller.carry_out()
    while caller.open:
        caller.answer(chosen.choice(caller.open))
        for verdict in caller.policy.decide():
            step = caller.trials[verdict.trial].deepest
            there = [trial for trial in caller.trials.values() if step in trial.seen]
            ours = caller.trials[verdict.trial].seen[step]
            better = [trial for trial in there if trial.seen[step] is not None and trial.seen[step] > ours]
            assert (len(better) + 1) * arguments["reduction_factor"] <= len(there)
        caller.carry_out()
    assert all(trial.reached <= 30 for trial in caller.trials.values())


@settings(max_examples=60)
@given(st.sampled_from(["sha", "hyperband"]), ARGUMENTS, st.integers(1, 40), SEEDS)
def test_the_order_of_arrival_decides_nothing_where_rungs_wait(name, arguments, count, seed):
    def outcome(order):
        caller = Caller(made(name, arguments, 1, "trials")[0], (False,), worth(seed, 5))
        caller.add(count, 30)
        return caller.run(choose=random.Random(order).choice)

    assert outcome(1) == outcome(2) == outcome(3)


def test_sha_halves_by_threes_and_at_least_one_comes_to_the_end():
    for count, expected in [(64, [64, 21, 7, 2]), (9, [9, 3, 1, 1]), (2, [2, 1, 1, 1])]:
        caller = Caller(policies.sha(1, 3), (True,), lambda trial, step: (-float(trial),))
        caller.add(count, 27)
        reached = caller.run().values()
        assert [sum(each >= step for each in reached) for step in (1, 3, 9, 27)] == expected


@pytest.mark.parametrize("spec", [policies.sha(1, 3), policies.hyperband(1, 3)])
def test_rungs_wait_for_trials_that_are_still_to_come(spec):
    """Where a sampler proposes one trial after another, the first ones are not promoted for want of others."""
    caller = Caller(spec, (True,), lambda trial, step: (float(trial),), max_trials=9)
    for number in range(9):
        caller.add(1, 27)
        asked = [trial for trial, _ in caller.carry_out()]
        if number < 8:
            assert asked == [number]
        for trial in caller.open:
            caller.answer(trial)
    assert any(caller.trials[trial].deepest for trial, _ in caller.carry_out())


def test_a_winner_that_diverges_is_replaced():
    caller = Caller(
        policies.sha(1, 3), (True,), lambda trial, step: None if step > 1 and trial == 0 else (-trial,)
    )
    caller.add(3, 27)
    assert caller.run()[1] == 27


def test_a_raised_limit_promotes_the_best_of_all_whose_limit_was_raised():
    for spec in (policies.asha(1, 3), policies.sha(1, 3)):
        caller = Caller(spec, (True,), lambda trial, step: (float(trial),))
        caller.add(9, 3)
        caller.run(choose=max)
        assert [trial.number for trial in caller.trials.values() if trial.reached == 3] == [6, 7, 8]
        caller.raise_limit(9)
        assert caller.carry_out() == [(8, 9)]


@pytest.mark.parametrize(
    ("factor", "rungs", "most", "shares"),
    [
        (3, 4, None, [27, 12, 6, 4]),  # R = 27, eta = 3: table 1 of the paper has it for R = 81
        (3, 5, None, [81, 34, 15, 8, 5]),
        (3, 5, 2, [81, 34]),
        (2, 1, None, [1]),
    ],
)
def test_brackets_have_the_paper_s_shares(factor, rungs, most, shares):
    assert bracket_shares(factor, rungs, most) == shares
    dealt = [Brackets(factor, most)]
    found = [dealt[0].next(rungs) for _ in range(3 * sum(shares))]
    for count in range(1, len(found) + 1):
        for bracket, share in enumerate(shares):
            assert abs(found[:count].count(bracket) - share * count / sum(shares)) < len(shares)
    assert [found.count(bracket) for bracket in range(len(shares))] == [3 * share for share in shares]


def test_hyperband_s_last_bracket_goes_straight_to_the_end():
    caller = Caller(policies.hyperband(1, 3), (True,))
    caller.add(49, 27)
    asked = [step for _, step in caller.carry_out()]
    assert {step: asked.count(step) for step in set(asked)} == {1: 27, 3: 12, 9: 6, 27: 4}


def test_a_model_counts_once_and_its_trials_go_on_together():
    """1. Nine trials are three models at step 1. 2. The best of three models is promoted, with its five trials."""
    values = {0: (3.0,), 1: (2.0,), 2: (1.0,)}
    models = [0, 0, 0, 0, 0, 1, 1, 2, 2]
    for compare, expected in [("models", [0, 1, 2, 3, 4]), ("trials", [0, 1, 2])]:
        caller = Caller(
            policies.asha(1, 3, compare=compare),
            (True,),
            lambda trial, step: values[models[trial]],
            lambda trial, step: models[trial] if step == 1 else 100 + trial,
        )
        caller.add(9, 27)
        caller.carry_out()
        for trial in range(9):
            caller.answer(trial)
        assert sorted(trial for trial, _ in caller.carry_out()) == expected


def test_the_trials_of_the_best_model_go_on_together_where_a_rung_has_too_few():
    """1. Six trials are two models at step 1: a third of two is none. 2. Nothing is open: the best model goes on."""
    values = {0: (1.0,), 1: (2.0,)}
    caller = Caller(
        policies.asha(1, 3, compare="models"),
        (True,),
        lambda trial, step: values[trial % 2] if step == 1 else (float(trial),),
        lambda trial, step: trial % 2 if step == 1 else 100 + trial,
    )
    caller.add(6, 9)
    assert caller.run() == {0: 1, 1: 3, 2: 1, 3: 3, 4: 1, 5: 9}


@pytest.mark.parametrize(
    "spec", [policies.asha(1, 3, brackets=2), policies.hyperband(1, 3, asynchronous=True)]
)
def test_each_bracket_brings_its_best_to_the_end(spec):
    """Of trials 0 and 1, dealt to brackets 0 and 1, neither rung promotes: each goes on, however the other fares."""
    caller = Caller(spec, (True,), lambda trial, step: (-float(trial),))
    caller.add(2, 9)
    assert [step for _, step in caller.carry_out()] == [1, 3]
    assert caller.run() == {0: 9, 1: 9}


def test_several_objectives_are_ranked_by_fronts_and_then_by_distance():
    """Of five on the front and one behind, the best two are the ends of the front, though others are near the first."""
    points = [(0.0, 10.0), (1.0, 9.0), (2.0, 8.0), (3.0, 7.0), (9.0, 0.0), (9.5, 9.5)]
    caller = Caller(policies.asha(1, 3), (False, False), lambda trial, step: points[trial])
    caller.add(6, 27)
    caller.carry_out()
    for trial in range(6):
        caller.answer(trial)
    assert sorted(trial for trial, _ in caller.carry_out()) == [0, 4]


def test_reasons_tell_rank_value_and_cut_off():
    caller = Caller(policies.asha(1, 3), (True,), lambda trial, step: (trial / 10,))
    caller.add(6, 27)
    assert [verdict.reason for verdict in caller.policy.decide()] == ["enters at step 1"] * 6
    caller.carry_out()
    for trial in range(6):
        caller.answer(trial)
    assert [(verdict.trial, verdict.reason) for verdict in caller.policy.decide()] == [
        (5, "rank 1 of 6 at step 1, 0.5; 2 go on, down to 0.4"),
        (4, "rank 2 of 6 at step 1, 0.4; 2 go on, down to 0.4"),
    ]
    assert caller.policy.standing(0) == "rank 6 of 6 at step 1, 0; 2 go on, down to 0.4"


def test_the_last_promotion_tells_rank_and_value():
    caller = Caller(policies.asha(1, 3), (True,), lambda trial, step: (trial / 10,))
    caller.add(2, 9)
    caller.carry_out()
    for trial in range(2):
        caller.answer(trial)
    assert [(verdict.trial, verdict.reason) for verdict in caller.policy.finish()] == [
        (1, "rank 1 of 2 at step 1, 0.1; the best at the furthest step that any trial has come to")
    ]


def test_reasons_name_the_bracket_and_what_is_compared():
    caller = Caller(policies.hyperband(1, 3, compare="models"), (True,), lambda trial, step: (trial / 10,))
    caller.add(5, 3)
    assert caller.policy.decide()[0].reason == "enters at step 1, bracket 0"
    caller.run()
    resting = [trial.number for trial in caller.trials.values() if trial.reached == 1]
    assert len(resting) == 2
    for number in resting:
        assert "of 3 models at step 1 of bracket 0, 0" in caller.policy.standing(number)
