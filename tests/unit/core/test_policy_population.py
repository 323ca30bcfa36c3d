"""Populations against what they ought to decide, on random histories; and what forks explore."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.policies import Fork, Stop
from hippo_core.policies.exploring import Perturbation, explored
from tests.unit.core.policy_calls import constrained
from tests.unit.core.population_oracle import PopulationCaller, expected
from tests.unit.engine.test_cluster import spec

SEEDS = st.integers(0, 2**32)


def worth(seed, distinct, bad=0.04):
    def values(trial, step):
        drawn = random.Random(f"{seed} {trial} {step}")
        return None if drawn.random() < bad else (drawn.randrange(distinct) / 4,)

    return values


@settings(max_examples=150)
@given(
    st.integers(1, 4),
    st.sampled_from([0.05, 0.25, 0.4, 0.5]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 1, 2]),
    st.sampled_from([3, 1000]),
    st.booleans(),
    st.sampled_from([policies.pbt, policies.pb2]),
    st.integers(0, 2),
    SEEDS,
)
def test_verdicts_are_a_function_of_what_happened(
    interval, quantile, asynchronous, maximize, every, distinct, mixed, which, constraints, seed
):
    """1. Results come in any order, come late, are lost, are equal, are not finite; trials are added, limits raised.
    2. After every call: who is replaced by whose fork, and who goes on. 3. A restart decides the same."""
    interval *= every
    made = which(interval, quantile, asynchronous=asynchronous)
    chosen = random.Random(seed)
    caller = PopulationCaller(
        made,
        (maximize,),
        constrained(worth(seed, distinct), seed, constraints),
        every=every,
        mixed=mixed,
        max_trials=chosen.randrange(2, 9),
        seed=seed,
    )

    def look(caller):
        verdicts = caller.policy.decide()
        assert caller.policy.decide() == verdicts
        assert not [each for each in verdicts if isinstance(each, Stop)]
        wanted = expected(caller, interval, quantile, asynchronous)
        forks = {each.instead_of: each.trial for each in verdicts if isinstance(each, Fork)}
        steps = {each.trial: each.to for each in verdicts if not isinstance(each, Fork)}
        assert steps == {number: to for number, to in wanted.items() if isinstance(to, int)}
        assert forks.keys() == {number for number, to in wanted.items() if isinstance(to, set)}
        assert all(parent in wanted[number] for number, parent in forks.items())
        assert len(verdicts) == len(steps) + len(forks)
        if chosen.random() < 0.3:
            assert caller.restarted(chosen).decide() == verdicts
        if chosen.random() < 0.02:
            parent = chosen.choice(list(caller.trials))
            caller.add_outsider(parent, chosen.randrange(caller.trials[parent].max_steps))

    caller.live(chosen, steps=60, most=14, look=look)
    assert len(set(caller.holders)) == len(caller.holders) == len(caller.policy.places)


def population(size=8, values=None, seed=0, **arguments):
    arguments = {"interval": 2, **arguments}
    return PopulationCaller(
        policies.pbt(**arguments),
        (True,),
        values or (lambda trial, step: (float(trial),)),
        max_trials=size,
        seed=seed,
    )


def test_nobody_is_judged_before_all_have_come():
    caller = population(4)
    caller.add(3, 6)
    caller.carry_out()
    for number in range(3):
        caller.answer(number)
    assert caller.policy.decide() == []
    caller.add(1, 6)
    caller.carry_out()
    assert caller.policy.decide() == []
    caller.answer(3)
    assert len(caller.policy.decide()) == 4


def test_reasons_tell_ranks_and_values():
    caller = population(4, lambda trial, step: (0.125 * trial,))
    caller.add(4, 6)
    caller.carry_out()
    for number in range(4):
        caller.answer(number)
    assert [each.reason for each in caller.policy.decide()] == [
        "rank 4 of 4 at step 2, 0; trial 3 is of rank 1, 0.375",
        "rank 3 of 4 at step 2, 0.125; the last 1 are replaced; compared next at step 4",
        "rank 2 of 4 at step 2, 0.25; the last 1 are replaced; compared next at step 4",
        "rank 1 of 4 at step 2, 0.375; the last 1 are replaced; compared next at step 4",
    ]


@pytest.mark.parametrize(
    ("size", "quantile", "replaced"),
    [(2, 0.25, 1), (3, 0.5, 1), (4, 0.5, 2), (8, 0.25, 2), (10, 0.3, 3), (10, 0.1, 1)],
)
def test_a_share_is_replaced_at_least_one_and_at_most_half(size, quantile, replaced):
    caller = population(size, quantile=quantile)
    caller.add(size, 6)
    caller.carry_out()
    for number in range(size):
        caller.answer(number)
    forks = [each for each in caller.policy.decide() if isinstance(each, Fork)]
    assert [each.instead_of for each in forks] == list(range(replaced))
    assert {each.trial for each in forks} <= set(range(size - replaced, size))


def test_chance_chooses_each_of_the_best_and_is_the_seed_s():
    def parents(seed):
        caller = population(8, seed=seed)
        caller.add(8, 6)
        caller.carry_out()
        for number in range(8):
            caller.answer(number)
        return tuple(each.trial for each in caller.policy.decide() if isinstance(each, Fork))

    found = [parents(seed) for seed in range(40)]
    assert set(found) == {(6, 6), (6, 7), (7, 6), (7, 7)}
    assert found == [parents(seed) for seed in range(40)]


def test_where_all_have_ended_nothing_is_wanted():
    caller = population(3, lambda trial, step: None)
    caller.add(3, 6)
    caller.carry_out()
    for number in range(3):
        caller.answer(number)
    assert caller.policy.decide() == caller.policy.finish() == []


# What is explored


SEARCHED = {
    "lr": space.loguniform(1e-4, 1e-1),
    "batch": space.choice([16, 64, 32]),
    "activation": space.choice(["relu", "tanh", "gelu"]),
    "layers": space.integer(1, 8),
    "dropout": space.quniform(0.0, 0.5, 0.1),
    "width": 64,
}


def numbers(seed):
    drawn = random.Random(seed)
    return lambda purpose: drawn.random()


@pytest.mark.parametrize("name", [name for name, part in SEARCHED.items() if part != 64])
@given(SEEDS)
@settings(max_examples=60)
def test_what_is_explored_is_of_the_domain_and_near(name, seed):
    domain = space.Space(SEARCHED).domains[name]
    value = domain.draw(random.Random(seed).random())
    other = Perturbation(0.0, (0.8, 1.2)).value(domain, value, numbers(seed + 1))
    assert domain.holds(other)
    if name == "lr":
        assert other in {domain.low, domain.high, *(float(f"{value * each:.11e}") for each in (0.8, 1.2))}
    elif name == "batch":
        order = [16, 32, 64]
        places = [order.index(domain.options[each]) for each in (value, other)]
        assert abs(places[0] - places[1]) == 1 or (places[0] == places[1] and places[0] in {0, 2})
    elif name == "layers":
        assert other != value or other in {1, 8}
        assert abs(other - value) <= max(1, round(0.2 * value) + 1)
    elif name == "dropout":
        assert other != value or other in {0.0, 0.5}


def test_some_are_drawn_anew():
    domain = space.Space(SEARCHED).domains["lr"]
    again = Perturbation(1.0, (0.8, 1.2))
    assert len({again.value(domain, 0.01, numbers(seed)) for seed in range(50)}) == 50


def test_schedules_and_branches_are_inherited():
    shared = space.uniform(0.0, 1.0, name="shared")
    searched = space.Space(
        {
            "lr": space.choice([0.1, schedules.cosine(space.uniform(0.1, 0.2), 0.0, 9)]),
            "wd": schedules.piecewise([0.0, space.uniform(0.1, 0.2)], [3]),
            "m": shared,
            "ramp": schedules.linear(shared, 0.0, 9),
            "one": space.choice([3]),
            "optimizer": space.choice(
                [{"beta": space.uniform(0.5, 0.9)}, {"nesterov": space.choice([True, False])}]
            ),
        }
    )
    assert list(explored(searched)) == ["optimizer/0.beta", "optimizer/1.nesterov"]
    assert list(explored(searched, dict.fromkeys(searched.domains, 0))) == ["optimizer/0.beta"]


def explore(searched, parent, seed=0, siblings=()):
    caller = population(2, seed=seed)
    caller.policy.searches(space.Space(searched), seed)
    caller.add(2, 6)
    caller.carry_out()
    for number in range(2):
        caller.answer(number)
    (fork,) = [each for each in caller.policy.decide() if isinstance(each, Fork)]
    draws = {fork.trial: parent}
    return caller.policy.explore(fork, draws.__getitem__)


def test_a_fork_is_never_like_its_parent_where_it_need_not_be():
    """At the bound of a domain, clipped, with the factor 1.2: it is drawn again until it differs."""
    for seed in range(60):
        found = explore({"lr": space.loguniform(1e-4, 1e-1)}, {"lr": 1e-1}, seed)
        assert found["lr"] != 1e-1
    assert explore({"flag": space.choice([True, False])}, {"flag": 0})["flag"] == 1


def test_constraints_hold_or_the_parent_s_draws_stay():
    searched = {
        "a": space.uniform(0.0, 1.0),
        "b": space.uniform(0.0, 1.0),
        "sum": space.constraint("a + b <= 1"),
    }
    for seed in range(60):
        found = explore(searched, {"a": 0.5, "b": 0.5}, seed)
        assert found["a"] + found["b"] <= 1
        assert found != {"a": 0.5, "b": 0.5}
    tight = {**searched, "sum": space.constraint("a + b <= 0")}
    assert explore(tight, {"a": 0.0, "b": 0.0}) == {"a": 0.0, "b": 0.0}


# What a person writes


def test_it_is_read_back_from_json():
    made = policies.pbt(4, 0.2, 0.1, [0.5, 2], asynchronous=True)
    assert policies.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interval": 0}, "interval: must be at least 1"),
        ({"interval": 2, "quantile": 0.6}, "quantile: must be above 0 and at most 0.5"),
        ({"interval": 2, "quantile": 0}, "quantile: must be above 0"),
        ({"interval": 2, "resample_probability": 2}, "resample_probability: must be from 0 to 1"),
        ({"interval": 2, "factors": []}, "factors: must be a list of numbers"),
        ({"interval": 2, "factors": [0.8, 1]}, r"factors\[1\]: must be above 0 and not 1"),
        ({"interval": 2, "asynchronous": 1}, "asynchronous: must be True or False"),
        ({"perturbation_interval": 2}, "Use interval, in steps"),
        ({"interval": 2, "quantile_fraction": 0.2}, "Use quantile"),
        ({"interval": 2, "time_attr": "epoch"}, "Use interval, which is in the study's steps"),
        (
            {"interval": 2, "hyperparam_mutations": {}},
            "Use the study's space: what is drawn there is explored",
        ),
        ({"interval": 2, "hyperparam_bounds": {}}, "Use the study's space: the bounds of its domains"),
        ({}, "needs the argument 'interval'"),
    ],
)
def test_what_is_wrong_is_told_with_the_remedy(arguments, message):
    with pytest.raises(InvalidStudy, match=message):
        policies.pbt(**arguments)


def test_it_is_checked_against_the_study():
    plain = spec()
    searched = space.Space({"lr": space.loguniform(1e-4, 1e-1), "batch": 32, "m": 0.9})
    program = replace(plain.program, kinds=searched.kinds, evaluate_every=3)

    def study(**changes):
        made = {
            "space": searched,
            "program": program,
            "sampler": samplers.random(),
            "max_trials": 4,
            "policy": policies.pbt(2),
        }
        return replace(plain, **{**made, **changes})

    assert "interval=2 is rounded up to 3, for evaluate_every=3" in study().warnings
    assert not any("interval" in each for each in study(policy=policies.pbt(3)).warnings)
    with pytest.raises(InvalidStudy, match="3 steps are not below max_steps=3: no trials would be compared"):
        study(max_steps=3)
    with pytest.raises(
        InvalidStudy, match=r"is the size of the population of policies\.pbt, and must be at least 2"
    ):
        study(max_trials=1)
    with pytest.raises(InvalidStudy, match="drawn from a domain, and there are none"):
        replace(plain, policy=policies.pbt(2))
