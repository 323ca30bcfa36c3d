"""PB2: population-based bandits.

After J. Parker-Holder, V. Nguyen and S. Roberts, "Provably Efficient Online Hyperparameter Optimization with
Population-Based Bandits" (NeurIPS 2020, arXiv 2002.02518), section 4 and algorithms 1 and 2: PBT, in which a model
explores. What is modelled is what an interval of training with some values brought, f_t(x_t) - f_{t-1}(x_{t-1}), as a
function of the values x_t and of the time t that drifts (``hippo_core.policies.drifting_gp``). A fork has the values of
the largest upper confidence bound at the coming interval, given what others are trying in it: those who go on, and the
forks made before it.

Where it departs from the paper:

- The kernel's parameters are the likeliest of a grid, and the bound is maximised over points drawn by chance, first
  anywhere, then near the best.
- Only the latest observations count, ``drifting_gp.MOST`` of them: what they tell of the past fades anyway.
- Choices are explored as PBT does: the paper's model is over numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hippo_core.arguments import worded
from hippo_core.chance import uniform
from hippo_core.domains import Domain, Integer, NumericDomain, Stepped, Uniform
from hippo_core.policies.drifting_gp import MOST, Array, DriftingProcess
from hippo_core.policies.exploring import TRIES, Perturbation, explored, first_allowed
from hippo_core.policies.policy import Fork
from hippo_core.policies.population import (
    PEERS,
    Population,
    PopulationSpec,
    Selection,
    population_arguments,
)
from hippo_core.space import Assignment
from hippo_core.values import Scalar

ANYWHERE, NEAR = 256, 64
"""How many points are looked at anywhere, and near the best for each of the distances."""

DISTANCES = (0.1, 0.02)

BELOW_ONE = math.nextafter(1.0, 0.0)

Point = tuple[float, ...]
Numbers = Mapping[str, NumericDomain]


@dataclass(frozen=True, slots=True)
class Observation:
    """What an interval of training brought.

    Attributes:
        time: At its end, in intervals.
        trial: Whose it was.
        point: Its values, each from 0 to 1.
        gain: By how much the objective was better than before.
    """

    time: int
    trial: int
    point: Point
    gain: float


class Pb2(Population):
    """Forks explore numbers as a model of past gains says, and choices by perturbing.

    Args:
        selection: Who is compared when.
        perturbation: How a choice is explored.
    """

    def __init__(self, selection: Selection, perturbation: Perturbation) -> None:
        super().__init__(selection)
        self._perturbation = perturbation
        self._fitted: tuple[list[Observation], DriftingProcess] | None = None

    def explore(self, fork: Fork, assignments: Callable[[int], Assignment]) -> Assignment:
        """Proposes the best points for all numbers together, until one is neither the parent's nor another fork's."""
        parent = assignments(fork.trial)
        domains = explored(self.space, parent)
        numbers = {name: each for name, each in domains.items() if isinstance(each, NumericDomain)}
        choices = {name: each for name, each in domains.items() if name not in numbers}
        best = self._best(fork, numbers, assignments) if numbers else ({} for _ in range(TRIES))
        proposals = (
            {
                **numeric,
                **{
                    name: self._perturbation.value(domain, parent[name], self._chance(fork, attempt, name))
                    for name, domain in choices.items()
                },
            }
            for attempt, numeric in enumerate(best)
        )
        return first_allowed(self.space, parent, proposals, self._siblings(fork, assignments))

    def _best(
        self, fork: Fork, domains: Numbers, assignments: Callable[[int], Assignment]
    ) -> Iterator[dict[str, Scalar]]:
        """Values for numbers, those of the largest bound first."""
        model = self._model(self._observations(fork, domains, assignments), len(domains))
        time = fork.at // self.selection.interval + 1
        pending = _rows(self._pending(fork, domains, assignments), len(domains))
        found: list[dict[str, Scalar]] = []
        bounds = np.zeros(0)
        for round_, distance in enumerate((None, *DISTANCES)):
            near = _point(domains, found[int(np.argmax(bounds))]) if found else (0.0,) * len(domains)
            drawn = [
                self._drawn(fork, domains, f"{round_}/{index}", near, distance)
                for index in range(ANYWHERE if distance is None else NEAR)
            ]
            points = _rows([_point(domains, each) for each in drawn], len(domains))
            bounds = np.concatenate([bounds, model.bound(points, time, pending)])
            found += drawn
        for index in np.argsort(-bounds, kind="stable"):
            yield found[int(index)]

    def _drawn(
        self, fork: Fork, domains: Numbers, which: str, near: Point, distance: float | None
    ) -> dict[str, Scalar]:
        """Values drawn by chance, at most some distance from a point; None: anywhere."""
        place = self.trials[fork.instead_of].place or 0
        found = {}
        for (name, domain), old in zip(domains.items(), near, strict=True):
            at = uniform(self.seed, "explore", place, fork.at, which, name)
            if distance is not None:
                at = min(max(old + distance * (2 * at - 1), 0.0), BELOW_ONE)
            found[name] = domain.draw(at)
        return found

    def _observations(
        self, fork: Fork, domains: Numbers, assignments: Callable[[int], Assignment]
    ) -> list[Observation]:
        """The latest ones of trials that have the same numbers, by time and trial."""
        interval = self.selection.interval
        found = []
        for trial, known in self.trials.items():
            if known.by_user or not domains.keys() <= assignments(trial).keys():
                continue
            point = _point(domains, assignments(trial))
            before = None if known.parent is None else self.trials[known.parent].values.get(known.at)
            for step in range(known.at + interval, known.there + 1, interval):
                value = known.values.get(step)
                if value is not None and before is not None:
                    found.append(Observation(step // interval, trial, point, before[1] - value[1]))
                before = value
        found.sort(key=lambda each: (each.time, each.trial))
        return found[-MOST:]

    def _model(self, observations: list[Observation], dimensions: int) -> DriftingProcess:
        """The model of some observations; forks that are made together have the same."""
        if self._fitted is None or self._fitted[0] != observations:
            points = _rows([each.point for each in observations], dimensions)
            times = np.array([float(each.time) for each in observations])
            gains = np.array([each.gain for each in observations])
            self._fitted = observations, DriftingProcess(points, times, gains)
        return self._fitted[1]

    def _pending(self, fork: Fork, domains: Numbers, assignments: Callable[[int], Assignment]) -> list[Point]:
        """What others try in the interval that the fork begins with."""
        replaced = {each.instead_of for each in self.decide() if isinstance(each, Fork)}
        return [
            _point(domains, assignments(trial))
            for trial in self.places
            if trial not in replaced
            and trial != fork.instead_of
            and not self.trials[trial].ended
            and self.trials[trial].there == fork.at
            and domains.keys() <= assignments(trial).keys()
        ]


def _point(domains: Numbers, values: Mapping[str, Scalar]) -> Point:
    return tuple(_unit(domain, values[name]) for name, domain in domains.items())


def _unit(domain: Domain, value: Scalar) -> float:
    """Where a value lies in its domain, from 0 to 1; ``draw`` gives it back."""
    assert isinstance(value, int | float)
    match domain:
        case Uniform(log=True):
            return math.log(value / domain.low) / math.log(domain.high / domain.low)
        case Uniform():
            return (value - domain.low) / (domain.high - domain.low)
        case Integer(log=True):
            return math.log((value + 0.5) / domain.low) / math.log((domain.high + 1) / domain.low)
        case Integer():
            return (value + 0.5 - domain.low) / (domain.high + 1 - domain.low)
        case Stepped(size=int() as size):
            return (round((value - domain.low) / domain.q) + 0.5) / size
        case _:
            raise AssertionError(f"{type(domain).__name__} has no numbers")


def _rows(points: list[Point], dimensions: int) -> Array:
    return np.array(points, dtype=np.float64).reshape(len(points), dimensions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pb2Spec(PopulationSpec):
    """Population-based bandits."""

    @property
    def name(self) -> str:
        """``pb2``."""
        return "pb2"

    def why_unconstrained(self) -> tuple[str, str]:
        """Its model is of one gain."""
        return (
            "the policy pb2 explores where its model of the objective promises the largest gain, feasible or not",
            "Use policies.pbt(), which explores by chance.",
        )

    def populate(self, selection: Selection) -> Pb2:
        """The policy, given who is compared when."""
        return Pb2(selection, Perturbation(self.resample_probability, ()))


@worded("policies.pb2", PEERS)
def pb2(
    interval: int, quantile: float = 0.25, resample_probability: float = 0.25, asynchronous: bool = False
) -> Pb2Spec:
    """Population-based bandits: as ``pbt``, but a model of what past intervals brought says which numbers to try.

    Args:
        interval: Every how many steps trials are compared.
        quantile: The share that is replaced, and the share of those whose forks take their places; at most 0.5.
        resample_probability: How often a choice, of which the model knows nothing, is drawn anew.
        asynchronous: Compares a trial as it comes with those before it, rather than when all have come.
    """
    return Pb2Spec(
        **population_arguments("policies.pb2", interval, quantile, resample_probability, asynchronous)
    )
