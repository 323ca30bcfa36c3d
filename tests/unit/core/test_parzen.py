"""The tree-structured Parzen estimator against a slow and obvious one, against Optuna's, and against draws from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from statistics import NormalDist
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_gamma, default_weights

from hippo_core import samplers, schedules, space
from hippo_core.proposing.draws import generator
from hippo_core.proposing.parzen import Density, TreeParzen, good_count, weights_of
from hippo_core.space import Space

Point = Mapping[str, Any]

PLAIN = Space(
    {
        "x": space.uniform(-5, 5),
        "y": space.loguniform(1e-3, 1e3),
        "n": space.integer(1, 9),
        "k": space.logint(1, 64),
        "q": space.quniform(0, 1, 0.25),
        "c": space.choice(["a", "b", "c"]),
        "one": space.integer(2, 2),
    }
)
FINITE = Space(
    {
        "o": space.choice(
            [{"m": space.integer(1, 3), "q": space.quniform(0, 1, 0.5)}, {"m": space.choice([1, 7])}, {}]
        ),
        "k": space.logint(1, 4),
    }
)
NESTED = Space(
    {
        "lr": space.choice([0.1, schedules.piecewise([0.1, space.loguniform(1e-3, 1e-1)], [3])]),
        "k": space.logint(1, 512),
        "o": space.choice([{"name": "sgd", "momentum": space.uniform(0, 1)}, {"name": "adam"}]),
    }
)
SPACES = [PLAIN, FINITE, NESTED]


def points(within: Space, count: int, seed: int) -> list[Point]:
    return [samplers.random().point(within, seed, number) for number in range(count)]


def points_of(drawn_from: Density | TreeParzen, stream: str, count: int) -> list[Point]:
    return list(drawn_from.draw(generator(stream), count))


# What a density is, for one point and one kernel at a time


def place(domain: Any, drawn: float, aside: float = 0.0) -> float:
    """Where a value lies in [0, 1], or a point half a number aside of it."""
    if domain.word == "quniform":
        return float((round((drawn - domain.low) / domain.q) + aside + 0.5) / domain.size)
    low, high = domain.low, domain.high
    if domain.word == "integer":
        low, high = low - 0.5, high + 0.5
    drawn += aside
    if domain.log:
        return float(math.log(drawn / low) / math.log(high / low))
    return float((drawn - low) / (high - low))


def log_density(within: Space, about: Sequence[Point], at: Point, names: set[str]) -> float:
    """Of the weighted mean, over the points and the prior, of the product over the domains that are drawn."""
    count = len(about)
    weights = [1.0] * count
    for index in range(count - 25):
        weights[index] = 1 / count + (1 - 1 / count) * index / max(count - 26, 1)
    total, found = sum(weights) + 1.0, 0.0
    for weight, point in zip([*weights, 1.0], [*about, {}], strict=True):
        product = weight / total
        for name in set(at) & names:
            known = sum(1 for each in about if name in each)
            product *= kernel(within.domains[name], point.get(name), at[name], known, len(names))
        found += product
    return math.log(found)


def kernel(domain: Any, about: Any, at: Any, known: int, dimensions: int) -> float:
    if domain.word == "choice":
        options = len(domain.options)
        if about is None:
            return 1 / options
        other = 1 / (known + 1)
        return float(((about == at) + other) / (1 + options * other))
    width = max(0.2 * max(known, 1) ** (-1 / (dimensions + 4)), 1 / min(100, known + 2))
    normal = NormalDist(0.5, 1.0) if about is None else NormalDist(place(domain, about), width)
    inside = normal.cdf(1.0) - normal.cdf(0.0)
    if domain.word == "uniform":
        return normal.pdf(place(domain, at)) / inside
    return (normal.cdf(place(domain, at, 0.5)) - normal.cdf(place(domain, at, -0.5))) / inside


def drawn_names(within: Space) -> set[str]:
    return {name for name, domain in within.domains.items() if domain.size != 1}


@settings(max_examples=60)
@given(st.sampled_from(SPACES), st.integers(0, 60), st.integers(0, 10**6), st.data())
def test_a_density_is_the_mean_of_products_of_kernels(
    within: Space, count: int, seed: int, data: st.DataObject
) -> None:
    names = data.draw(st.one_of(st.none(), st.sets(st.sampled_from(sorted(within.domains)))))
    about, at = points(within, count, seed), points(within, 4, seed + 1)
    found = Density(within, about, names).log([*at, *about[:1]])
    counted = drawn_names(within) & (set(within.domains) if names is None else names)
    expected = [log_density(within, about, point, counted) for point in [*at, *about[:1]]]
    assert list(found) == pytest.approx(expected, rel=1e-6, abs=1e-6)


DISTRIBUTIONS = {
    "x": optuna.distributions.FloatDistribution(-5, 5),
    "y": optuna.distributions.FloatDistribution(1e-3, 1e3, log=True),
    "n": optuna.distributions.IntDistribution(1, 9),
    "k": optuna.distributions.IntDistribution(1, 64, log=True),
    "q": optuna.distributions.FloatDistribution(0, 1, step=0.25),
    "c": optuna.distributions.CategoricalDistribution(["a", "b", "c"]),
}


@pytest.mark.parametrize("count", [0, 1, 2, 7, 24, 25, 26, 200])
def test_a_density_is_optunas_where_all_points_have_all_domains(count: int) -> None:
    """Optuna's is one over floats in their own units, or in their logarithms; ours over [0, 1]."""
    about, at = points(PLAIN, count, 3), points(PLAIN, 20, 4)
    parameters = _ParzenEstimatorParameters(1.0, True, False, default_weights, True, {})
    theirs = _ParzenEstimator(_columns(about), dict(DISTRIBUTIONS), parameters)
    stretches = math.log(10) + math.log(math.log(1e6))
    expected = theirs.log_pdf(_columns(at)) + stretches
    assert list(Density(PLAIN, about).log(at)) == pytest.approx(list(expected), rel=1e-6, abs=1e-6)


def _columns(of: Sequence[Point]) -> dict[str, Any]:
    return {name: np.array([point[name] for point in of], dtype=float) for name in DISTRIBUTIONS}


def test_the_quantile_and_the_weights_are_optunas() -> None:
    for count in (0, 1, 9, 10, 11, 24, 25, 26, 27, 100, 249, 250, 251, 1000):
        assert good_count(count) == default_gamma(count)
        assert list(weights_of(count)) == pytest.approx(list(default_weights(count)))


@settings(max_examples=40)
@given(st.integers(0, 40), st.integers(0, 10**6))
def test_a_density_of_a_finite_conditional_space_is_one_in_all(count: int, seed: int) -> None:
    about = points(FINITE, count, seed)
    total = np.exp(Density(FINITE, about).log(list(FINITE.assignments()))).sum()
    assert total == pytest.approx(1.0, abs=1e-9)


def test_a_density_with_a_number_that_only_some_points_have_is_one_in_all() -> None:
    within = Space({"o": space.choice([{"m": space.uniform(0, 1)}, {"n": 1}, {"n": 2}])})
    about: list[Point] = [{"o": 0, "o/0.m": 0.05}, {"o": 0, "o/0.m": 0.4}, {"o": 1}, {"o": 2}, {"o": 1}]
    found, cells = Density(within, about), 4000
    inside = np.exp(found.log([{"o": 0, "o/0.m": (cell + 0.5) / cells} for cell in range(cells)])).mean()
    assert inside + np.exp(found.log([{"o": 1}, {"o": 2}])).sum() == pytest.approx(1.0, abs=1e-4)


# Draws


def test_draws_are_from_the_density() -> None:
    """20,000 of them, each point counted, against its mass; the stream is always the same."""
    about = points(FINITE, 12, 5)
    found = Density(FINITE, about)
    drawn = found.draw(generator("draws"), 20000)
    _is_distributed(drawn, list(FINITE.assignments()), np.exp(found.log(list(FINITE.assignments()))))


def test_draws_that_keep_values_are_from_the_density_given_these() -> None:
    """1. The first option is kept, which has two domains of its own. 2. All others are drawn given it."""
    about = points(FINITE, 12, 6)
    found = Density(FINITE, about)
    drawn = found.draw(generator("kept"), 20000, {"o": 0, "k": 2})
    among = [point for point in FINITE.assignments() if point["o"] == 0 and point["k"] == 2]
    masses = np.exp(found.log(among))
    assert len(among) == 9
    _is_distributed(drawn, among, masses / masses.sum())


def _is_distributed(drawn: Sequence[Point], among: Sequence[Point], masses: Any) -> None:
    for point, mass in zip(among, masses, strict=True):
        spread = math.sqrt(mass * (1 - mass) / len(drawn))
        assert drawn.count(point) / len(drawn) == pytest.approx(mass, abs=5 * spread + 1e-9)
    assert all(point in among for point in drawn)


def test_draws_of_a_float_are_from_the_density() -> None:
    within = Space({"x": space.loguniform(0.01, 100)})
    found = Density(within, [{"x": 0.02}, {"x": 0.03}, {"x": 50.0}])
    drawn = [place(within.domains["x"], point["x"]) for point in points_of(found, "float", 20000)]
    cells, fine = 10, 50
    for cell in range(cells):
        places = [(cell + (part + 0.5) / fine) / cells for part in range(fine)]
        mass = float(np.exp(found.log([{"x": 0.01 * 1e4**at} for at in places])).mean()) / cells
        share = sum(1 for at in drawn if int(min(at, 0.999999) * cells) == cell) / len(drawn)
        assert share == pytest.approx(mass, abs=5 * math.sqrt(mass / len(drawn)))


def test_domains_that_a_density_is_not_of_are_drawn_evenly() -> None:
    about = [{**point, "c": 0, "k": 1} for point in points(PLAIN, 50, 7)]
    found = Density(PLAIN, about, {"c", "x"})
    drawn = points_of(found, "names", 2000)
    assert all(PLAIN.checked(point) == point for point in drawn)
    assert sum(point["c"] == 0 for point in drawn) > 1500
    share = sum(point["k"] > 8 for point in drawn) / 2000
    assert share == pytest.approx(1 - math.log(9) / math.log(65), abs=0.06)


# The model


@settings(max_examples=40)
@given(
    st.sampled_from(SPACES), st.integers(0, 70), st.integers(0, 5), st.integers(1, 9), st.integers(0, 10**6)
)
def test_the_model_compares_the_best_tenth_with_the_others_and_those_pending(
    within: Space, count: int, waiting: int, distinct: int, seed: int
) -> None:
    """Of equals the first that came is the better one; infinitely bad ones are known, too."""
    random = Random(seed)
    costs = [random.choice([float(random.randrange(distinct)), math.inf]) for _ in range(count)]
    about, pending = points(within, count, seed), points(within, waiting, seed + 1)
    at = points(within, 4, seed + 2)
    model = TreeParzen(within, list(zip(about, costs, strict=True)), pending)
    ranked = sorted(zip(costs, range(count), strict=True))
    best = sorted(index for _, index in ranked[: min(math.ceil(count / 10), 25)])
    good = [about[index] for index in best]
    others = [point for index, point in enumerate(about) if index not in best] + pending
    names = drawn_names(within)
    expected = [
        log_density(within, good, point, names) - log_density(within, others, point, names) for point in at
    ]
    assert list(model.score(at)) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_model_proposes_where_the_good_points_lie_and_away_from_those_pending() -> None:
    within = Space({"x": space.uniform(0, 1)})
    data: list[tuple[Point, float]] = [({"x": at / 40}, abs(at / 40 - 0.25)) for at in range(40)]
    model = TreeParzen(within, data)
    drawn = points_of(model, "best", 50)
    best = drawn[int(model.score(drawn).argmax())]
    assert abs(best["x"] - 0.25) < 0.1
    crowded = TreeParzen(within, data, [{"x": 0.25 + at / 1000} for at in range(30)])
    assert crowded.score([{"x": 0.25}])[0] < model.score([{"x": 0.25}])[0] - 0.5


def test_a_point_from_another_space_counts_as_a_kernel_about_nothing() -> None:
    within = Space({"x": space.uniform(0, 1)})
    even = [0.05, 0.5, 0.95]
    found = Density(within, [{}, {"other": 3}]).log([{"x": at} for at in even])
    assert list(found) == pytest.approx(list(Density(within, []).log([{"x": at} for at in even])))


def test_draws_follow_from_their_stream() -> None:
    about = points(NESTED, 30, 8)
    drawn = [Density(NESTED, about).draw(generator("same"), 5) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len({str(point) for point in drawn[0]}) == 5
