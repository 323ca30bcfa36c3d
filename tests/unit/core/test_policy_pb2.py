"""PB2: its model against plain formulas, and what it proposes."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, space
from hippo_core.errors import InvalidStudy
from hippo_core.policies import Fork
from hippo_core.policies.drifting_gp import DRIFTS, LENGTHS, MOST, NOISES, DriftingProcess
from hippo_core.policies.pb2 import Observation, _unit
from tests.unit.core.population_oracle import PopulationCaller

SEEDS = st.integers(0, 2**32)


# The model, by formulas of one number at a time


def kernel(one, other, ago, length, drift):
    apart = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
    return math.exp(-apart / (2 * length**2)) * math.sqrt(1 - drift) ** ago


def covariance(points, times, length, drift, noise):
    return [
        [
            kernel(p, q, abs(i - j), length, drift) + (noise if row == column else 0.0)
            for column, (q, j) in enumerate(zip(points, times, strict=True))
        ]
        for row, (p, i) in enumerate(zip(points, times, strict=True))
    ]


def standardised(values):
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((each - mean) ** 2 for each in values) / len(values))
    return [min(max((each - mean) / spread, -2.0), 2.0) if spread else 0.0 for each in values]


def likelihood(points, times, values, length, drift, noise):
    matrix = np.array(covariance(points, times, length, drift, noise))
    seen = np.array(standardised(values))
    return -0.5 * seen @ np.linalg.inv(matrix) @ seen - 0.5 * math.log(np.linalg.det(matrix))


def bound(points, times, values, parameters, candidate, time, pending):
    length, drift, noise = parameters
    inverse = np.linalg.inv(np.array(covariance(points, times, length, drift, noise)))
    to_seen = np.array(
        [kernel(candidate, p, abs(time - t), length, drift) for p, t in zip(points, times, strict=True)]
    )
    mean = to_seen @ inverse @ np.array(standardised(values))
    whole, when = [*points, *pending], [*times, *[time] * len(pending)]
    inverse = np.linalg.inv(np.array(covariance(whole, when, length, drift, noise)))
    to_all = np.array(
        [kernel(candidate, p, abs(time - t), length, drift) for p, t in zip(whole, when, strict=True)]
    )
    variance = max(1.0 - to_all @ inverse @ to_all, 0.0)
    return mean + math.sqrt((0.2 + max(0.0, math.log(0.4 * len(values)))) * variance)


def drawn(seed, count, dimensions):
    chosen = random.Random(seed)
    return [tuple(chosen.random() for _ in range(dimensions)) for _ in range(count)]


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 3), st.integers(0, 3), SEEDS)
def test_the_model_is_that_of_the_formulas(count, dimensions, pending, seed):
    chosen = random.Random(seed)
    points = drawn(seed, count, dimensions)
    times = [float(chosen.randrange(6)) for _ in range(count)]
    values = [
        math.sin(5 * sum(p)) + 0.3 * t + chosen.gauss(0.0, 0.1) for p, t in zip(points, times, strict=True)
    ]
    model = DriftingProcess(np.array(points), np.array(times), np.array(values))
    found = {
        (length, drift, noise): likelihood(points, times, values, length, drift, noise)
        for length in LENGTHS
        for drift in DRIFTS
        for noise in NOISES
    }
    parameters = (model.length, model.drift, model.noise)
    assert found[parameters] == pytest.approx(max(found.values()), abs=1e-6)
    candidates, others = drawn(seed + 1, 5, dimensions), drawn(seed + 2, pending, dimensions)
    bounds = model.bound(np.array(candidates), 6.0, np.array(others).reshape(pending, dimensions))
    assert list(bounds) == pytest.approx(
        [bound(points, times, values, parameters, each, 6.0, others) for each in candidates], abs=1e-5
    )


def test_without_observations_what_is_far_from_the_others_is_best():
    model = DriftingProcess(np.zeros((0, 1)), np.zeros(0), np.zeros(0))
    bounds = model.bound(np.array([[0.0], [0.5], [1.0]]), 1.0, np.array([[0.05], [0.5]]))
    assert bounds[2] > bounds[0] > bounds[1] > 0
    assert list(model.bound(np.array([[0.0], [1.0]]), 1.0, np.zeros((0, 1)))) == [math.sqrt(0.2)] * 2


def test_equal_observations_and_one_bad_fall_do_no_harm():
    points, times = np.array([[0.1], [0.5], [0.9], [0.3]]), np.ones(4)
    flat = DriftingProcess(points, times, np.ones(4)).bound(points, 2.0, np.zeros((0, 1)))
    assert np.isfinite(flat).all()
    fallen = DriftingProcess(points, times, np.array([1.0, 1.5, 1.0, -1e30])).bound(
        points, 2.0, np.zeros((0, 1))
    )
    assert np.isfinite(fallen).all()
    assert fallen[3] == min(fallen)


# What it proposes


SEARCHED = {
    "lr": space.loguniform(1e-4, 1e-1),
    "momentum": space.uniform(0.0, 0.99),
    "layers": space.integer(1, 8),
    "width": space.logint(16, 512),
    "dropout": space.quniform(0.0, 0.5, 0.1),
    "activation": space.choice(["relu", "tanh", "gelu"]),
}


@pytest.mark.parametrize("name", [each for each in SEARCHED if each != "activation"])
@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=100)
def test_a_value_s_place_gives_the_value_back(name, at):
    domain = space.Space(SEARCHED).domains[name]
    value = domain.draw(at)
    place = _unit(domain, value)
    assert 0 <= place <= 1
    again = domain.draw(min(place, math.nextafter(1.0, 0.0)))
    assert again == pytest.approx(value, rel=1e-9)
    assert type(again) is type(value)


class Population:
    """A population that is trained: what an interval brings is a function of the values."""

    def __init__(self, searched, gain, size=8, seed=0, interval=2, steps=24):
        self.gain = gain
        self.searched = space.Space(searched)
        self.draws = {
            number: self.searched.decide(
                lambda domain, n=number: domain.draw(random.Random(f"{seed} {n} {domain.name}").random())
            )
            for number in range(size)
        }
        self.caller = PopulationCaller(
            policies.pb2(interval), (True,), self.value, max_trials=size, seed=seed
        )
        self.caller.policy.searches(self.searched, seed)
        self.seen = {}
        self.parents = {}
        self.caller.add(size, steps)

    def value(self, trial, step):
        """The sum of the gains of its lineage."""
        if step == 0:
            return (0.0,)
        if (trial, step) not in self.seen:
            born = self.caller.born.get(trial, 0)
            before = self.value(trial if step - 1 > born or not born else self.parents[trial], step - 1)
            self.seen[trial, step] = (before[0] + self.gain(self.draws[trial], step),)
        return self.seen[trial, step]

    def carry_out(self):
        """All verdicts, and what follows from them."""
        caller = self.caller
        while verdicts := caller.policy.decide():
            for verdict in verdicts:
                if isinstance(verdict, Fork):
                    number = len(caller.trials)
                    self.draws[number] = caller.policy.explore(verdict, self.draws.__getitem__)
                    self.parents[number] = verdict.trial
                    caller.replace(verdict)
                else:
                    caller.request(verdict.trial, verdict.to)

    def run(self, generations):
        """Lets all come so often to the next step at which they are compared; the forks' draws."""
        for _ in range(generations):
            self.carry_out()
            for number in self.caller.open:
                self.caller.answer(number)
        return [self.draws[number] for number in self.parents]


def peak(draws, step):
    return math.exp(-((math.log10(draws["lr"]) + 2.0) ** 2)) - abs(draws["momentum"] - 0.8)


def test_forks_come_near_to_what_brings_most():
    """Gains are largest at lr 0.01 and momentum 0.8: later forks lie near, in every dimension."""
    searched = {each: SEARCHED[each] for each in ("lr", "momentum")}
    late = [draws for seed in range(6) for draws in Population(searched, peak, seed=seed).run(10)[-6:]]
    assert np.median([abs(math.log10(draws["lr"]) + 2.0) for draws in late]) < 0.4
    assert np.median([abs(draws["momentum"] - 0.8) for draws in late]) < 0.12


def test_forks_are_points_of_the_space_that_satisfy_constraints_and_differ():
    searched = {**SEARCHED, "sum": space.constraint("momentum + dropout <= 1")}
    population = Population(searched, lambda draws, step: draws["momentum"] + draws["layers"] / 8)
    forks = population.run(8)
    assert len(forks) > 10
    for draws in forks:
        assert population.searched.checked(draws) == draws
    assert len({tuple(draws.items()) for draws in forks}) == len(forks)
    assert len({draws["activation"] for draws in forks}) == 3


def test_a_policy_made_anew_proposes_the_same():
    population = Population({"lr": SEARCHED["lr"], "momentum": SEARCHED["momentum"]}, peak)
    population.run(5)
    again = population.caller.restarted(random.Random(0))
    again.searches(population.searched, 0)
    forks = [each for each in again.decide() if isinstance(each, Fork)]
    assert forks == [each for each in population.caller.policy.decide() if isinstance(each, Fork)] != []
    for fork in forks:
        ours = population.caller.policy.explore(fork, population.draws.__getitem__)
        assert again.explore(fork, population.draws.__getitem__) == ours


def test_it_observes_what_each_interval_brought():
    """Of each trial of the population: from its start, a fork's from its parent's value there, the latest ones."""
    population = Population(
        {"lr": SEARCHED["lr"]}, lambda draws, step: draws["lr"] * step, interval=2, steps=80
    )
    population.run(30)
    policy, caller = population.caller.policy, population.caller
    fork = Fork(0, 60, 0, "")
    found = policy._observations(
        fork, {"lr": population.searched.domains["lr"]}, population.draws.__getitem__
    )
    expected = []
    for trial in caller.trials.values():
        draws = population.draws[trial.number]
        for step in trial.seen:
            start = step - 2
            if start:
                gain = sum(draws["lr"] * each for each in (step - 1, step))
                expected.append((step // 2, trial.number, gain))
    expected = sorted(expected)[-MOST:]
    assert len(found) == MOST
    assert all(isinstance(each, Observation) for each in found)
    assert [(each.time, each.trial) for each in found] == [each[:2] for each in expected]
    assert [each.gain for each in found] == pytest.approx([each[2] for each in expected], abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interval": 2, "factors": [0.8]}, "has no argument 'factors'"),
        ({"interval": 2, "hyperparam_bounds": {}}, "Use the study's space: the bounds of its domains"),
        ({"interval": 2, "quantile": 0.7}, "quantile: must be above 0 and at most 0.5"),
    ],
)
def test_what_is_wrong_is_told_with_the_remedy(arguments, message):
    with pytest.raises(InvalidStudy, match=message):
        policies.pb2(**arguments)
