"""Samplers as values: their words, their JSON, and quasi-random points."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from hippo_core import policies, samplers, schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.samplers.qmc import halton, primes
from hippo_core.study_changes import extended
from tests.studies import study

LEARNING: list[samplers.Learning] = [
    samplers.tpe(),
    samplers.tpe(multivariate=False, startup_trials=5, candidates=7),
    samplers.bohb(random_fraction=0.2, min_points=4),
    samplers.dehb(),
    samplers.fork_asha(),
    samplers.phase_tree(),
    samplers.gp(noiseless=True),
    samplers.cma_es(population=8, sigma=0.3),
    samplers.nsga2(mutation=0.1),
    samplers.nsga3(divisions=5),
    samplers.optuna("TPESampler", multivariate=True, name="x"),
    samplers.outside(),
]
TWO = (Objective(metric="a", maximize=True), Objective(metric="b", maximize=False))
NUMBERS = {"x": space.uniform(0, 1), "n": space.integer(1, 9)}


@pytest.mark.parametrize("sampler", [*LEARNING, samplers.qmc(), samplers.random()], ids=str)
def test_a_sampler_survives_json(sampler: samplers.Sampler) -> None:
    again = samplers.from_json(json.loads(json.dumps(sampler.to_json())))
    assert again == sampler
    assert hash(again) == hash(sampler)


@pytest.mark.parametrize("sampler", LEARNING, ids=str)
def test_points_of_a_sampler_that_learns_are_random_stand_ins(sampler: samplers.Learning) -> None:
    searched = space.Space(NUMBERS)
    assert sampler.learns
    assert sampler.count(searched) is None
    assert sampler.point(searched, 3, 5) == samplers.random().point(searched, 3, 5)


class Own(BaseSampler):  # type: ignore[misc]
    def infer_relative_search_space(self, study: Any, trial: Any) -> Any: ...

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any: ...

    def sample_independent(self, study: Any, trial: Any, param_name: Any, param_distribution: Any) -> Any: ...


WRONG: list[tuple[Callable[[], object], str, str]] = [
    (lambda: samplers.tpe(n_startup_trials=5), "samplers.tpe", "Use startup_trials."),  # type: ignore[call-arg]
    (lambda: samplers.tpe(group=True), "samplers.tpe", "Use grouped."),  # type: ignore[call-arg]
    (
        lambda: samplers.tpe(constraints_func=len),  # type: ignore[call-arg]
        "samplers.tpe",
        "Use constraints, which are the study",
    ),
    (lambda: samplers.tpe(constant_liar=True), "samplers.tpe", "always known"),  # type: ignore[call-arg]
    (lambda: samplers.bohb(min_points_in_model=4), "samplers.bohb", "Use min_points."),  # type: ignore[call-arg]
    (lambda: samplers.bohb(top_n_percent=15), "samplers.bohb", "Use top_fraction"),  # type: ignore[call-arg]
    (lambda: samplers.bohb(num_samples=9), "samplers.bohb", "Use candidates."),  # type: ignore[call-arg]
    (lambda: samplers.bohb(eta=3), "samplers.bohb", "policies.hyperband("),  # type: ignore[call-arg]
    (lambda: samplers.bohb(min_budget=1), "samplers.bohb", "policies.hyperband("),  # type: ignore[call-arg]
    (lambda: samplers.bohb(random_fraction=2), "samplers.bohb.random_fraction", "from 0 to 1"),
    (lambda: samplers.bohb(top_fraction=0), "samplers.bohb.top_fraction", "above 0"),
    (lambda: samplers.bohb(min_points=0), "samplers.bohb.min_points", "at least 1"),
    (
        lambda: study(NUMBERS, sampler=samplers.bohb(), max_trials=5, objectives=TWO),
        "sampler",
        "bohb has one objective",
    ),
    (lambda: study(NUMBERS, sampler=samplers.dehb()), "policy", "Use policies.dehb("),
    (lambda: study(NUMBERS, sampler=samplers.tpe(), policy=policies.dehb()), "sampler", "Leave sampler out"),
    (
        lambda: extended(study(NUMBERS, sampler=samplers.dehb(), policy=policies.dehb()), max_steps=81),
        "max_steps",
        "under another name",
    ),
    (lambda: samplers.gp(seed=1), "samplers.gp", "which is the study's"),  # type: ignore[call-arg]
    (lambda: samplers.cma_es(sigma0=0.1), "samplers.cma_es", "Use sigma."),  # type: ignore[call-arg]
    (lambda: samplers.nsga2(population_size=9), "samplers.nsga2", "Use population."),  # type: ignore[call-arg]
    (lambda: samplers.tpe(multivariate=1), "samplers.tpe.multivariate", "True or False"),  # type: ignore[arg-type]
    (lambda: samplers.tpe(multivariate=False, grouped=True), "samplers.tpe.grouped", "multivariate=True"),
    (lambda: samplers.tpe(startup_trials=0), "samplers.tpe.startup_trials", "at least 1"),
    (lambda: samplers.cma_es(sigma=0), "samplers.cma_es.sigma", "above 0"),
    (lambda: samplers.nsga2(crossover=1.5), "samplers.nsga2.crossover", "from 0 to 1"),
    (lambda: samplers.nsga3(population=1), "samplers.nsga3.population", "at least 2"),
    (lambda: samplers.optuna("CmaEsSampler"), "samplers.optuna", "Use samplers.cma_es()."),
    (lambda: samplers.optuna("QMCSampler"), "samplers.optuna", "Use samplers.qmc()."),
    (lambda: samplers.optuna("os.system"), "samplers.optuna", "not the name of a sampler"),
    (lambda: samplers.optuna("TPESampler", seed=1), "samplers.optuna.seed", "the study's"),
    (lambda: samplers.optuna("TPESampler", gamma=len), "samplers.optuna.gamma", "cannot be written as JSON"),
    (lambda: samplers.optuna(object()), "samplers.optuna", "is no sampler of Optuna's"),
    (lambda: samplers.optuna(int), "samplers.optuna", "is no sampler of Optuna's"),
    (lambda: samplers.optuna(RandomSampler), "samplers.optuna", "Use samplers.random()."),
    (
        lambda: samplers.optuna(TPESampler()),
        "samplers.optuna",
        "the class TPESampler, not an instance of it, which cannot be sent to the server. Give the class, or its name, "
        'with the arguments: samplers.optuna("TPESampler", ...).',
    ),
    (lambda: samplers.optuna(Own), "samplers.optuna", "Own is none of Optuna's own samplers"),
    (lambda: samplers.optuna(Own()), "samplers.optuna", "sampler=samplers.outside()"),
    (lambda: samplers.from_json({"sampler": "optuna"}), "sampler", "name and arguments"),
    (lambda: samplers.from_json({"sampler": "tpee"}), "sampler", "Did you mean 'tpe'?"),
    (
        lambda: study({"x": space.uniform(0, 1)}, sampler=samplers.cma_es(), max_trials=5),
        "sampler",
        "only 'x'. Use samplers.tpe()",
    ),
    (
        lambda: study(NUMBERS, sampler=samplers.cma_es(), max_trials=5, objectives=TWO),
        "sampler",
        "one objective",
    ),
    (
        lambda: study(NUMBERS, sampler=samplers.tpe(), max_trials=1, initial=({"x": 0.0, "n": 1},) * 2),
        "initial",
        "2 points, which is more than max_trials=1",
    ),
    (
        lambda: study(NUMBERS, sampler=samplers.tpe(), max_trials=2, initial=({"x": 0.0, "n": 10},)),
        "initial[0]",
        "10 cannot be drawn",
    ),
]


@pytest.mark.parametrize(("call", "field", "words"), WRONG)
def test_wrong_samplers_name_the_place_and_the_remedy(
    call: Callable[[], object], field: str, words: str
) -> None:
    with pytest.raises(InvalidStudy) as caught:
        call()
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_class_is_as_good_as_its_name() -> None:
    assert samplers.optuna(TPESampler, multivariate=True) == samplers.optuna("TPESampler", multivariate=True)


def warnings(**changes: Any) -> tuple[str, ...]:
    """What is said of samplers: trials that start alike are told nothing of sharing."""
    late = {"x": schedules.piecewise([0.0, space.uniform(0.0, 1.0)], [3])}
    return study(late, max_trials=9, max_steps=9, **changes).warnings


def test_a_sampler_that_cannot_see_stopped_trials_says_so_beside_a_policy_that_stops() -> None:
    stopping = policies.asha(min_steps=1, reduction_factor=3)
    assert warnings(sampler=samplers.gp()) == warnings(sampler=samplers.tpe(), policy=stopping) == ()
    (warning,) = warnings(sampler=samplers.gp(), policy=stopping)
    two = study(
        NUMBERS, max_trials=9, max_steps=9, objectives=TWO, sampler=samplers.outside(), policy=stopping
    )
    assert two.warnings == ()
    assert "gp learns only from trials that come to their end, and the policy asha" in warning


def test_bohb_says_beside_which_policies_it_learns_little() -> None:
    bohb = samplers.bohb()
    for fits in (policies.hyperband(asynchronous=True), policies.asha(), policies.pasha(), policies.full()):
        assert warnings(sampler=bohb, policy=fits) == ()
    for waits in (policies.hyperband(), policies.sha()):
        (warning,) = warnings(sampler=bohb, policy=waits)
        assert f"{waits.name} promotes nobody before all points are proposed" in warning
    (warning,) = warnings(sampler=bohb, policy=policies.median_stopping())
    assert "compares them where they happen to be" in warning


def test_dehb_says_where_its_first_bracket_is_not_filled() -> None:
    dehb = {"sampler": samplers.dehb(), "policy": policies.dehb()}
    assert study(NUMBERS, max_trials=13, max_steps=9, **dehb).warnings == ()
    (warning,) = study(NUMBERS, max_trials=12, max_steps=9, **dehb).warnings
    assert warning == (
        "max_trials=12 is less than dehb's first bracket, 13 evaluations: 9 at step 1 + 3 at step 3 + 1 at step 9"
    )


# Quasi-random points


@given(st.integers(0, 2**32), st.text(min_size=1, max_size=5), st.integers(1, 6))
def test_of_the_first_2_to_the_k_points_each_stretch_of_2_to_the_minus_k_has_one(
    seed: int, name: str, k: int
) -> None:
    """The property of van der Corput's sequence that permuting digits keeps; also for any further 2^k points."""
    for first in (0, 5 * 2**k):
        cells = Counter(int(halton(first + index, 2, seed, name) * 2**k) for index in range(2**k))
        assert cells == Counter(range(2**k))


@pytest.mark.parametrize("base", [3, 5, 7])
def test_each_base_fills_its_own_stretches(base: int) -> None:
    cells = Counter(int(halton(index, base, 0, "x") * base**2) for index in range(base**2))
    assert cells == Counter(range(base**2))


def test_bases_are_the_primes() -> None:
    assert list(islice(primes(), 8)) == [2, 3, 5, 7, 11, 13, 17, 19]


def test_quasi_random_points_depend_on_the_seed_and_stay_within_the_space() -> None:
    searched = space.Space(
        {"lr": space.loguniform(1e-5, 1.0), "c": space.choice(["a", "b", "c", "d"]), **NUMBERS}
    )
    first, second = (
        [samplers.qmc().point(searched, seed, number) for number in range(64)] for seed in (0, 1)
    )
    assert first != second
    assert all(searched.checked(point) == point for point in first)
    assert Counter(point["c"] for point in first[:8]) == {0: 2, 1: 2, 2: 2, 3: 2}


def test_quasi_random_points_satisfy_the_constraints_and_do_not_repeat() -> None:
    searched = space.Space({**NUMBERS, "c": space.constraint("x < 0.3")})
    points = [samplers.qmc().point(searched, 0, number) for number in range(50)]
    assert all(point["x"] < 0.3 for point in points)  # type: ignore[operator]
    assert len({point["x"] for point in points}) == 50


def test_constraints_that_cannot_be_satisfied_are_told() -> None:
    searched = space.Space({**NUMBERS, "c": space.constraint("x < 0")})
    with pytest.raises(InvalidStudy, match="do not satisfy the constraints"):
        samplers.qmc().point(searched, 0, 0)
