"""A synthetic family of trainers: losses that fall by power laws, towards where the values in force lead.

Under values that stay, a loss x at step t is ``a + (x0 - a) * (1 + t) ** -alpha``: the form that learning curves are
fitted with (T. Domhan et al., "Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by
Extrapolation of Learning Curves", IJCAI 2015, table 1, "pow3"). Both the asymptote a and the exponent alpha are smooth
random functions of the values, the mean of one for each hyper-parameter. Where values change, the loss goes on from
where it is towards the new asymptote, at the pace of its step.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hippo_core.errors import InvalidStudy
from hippo_core.metric_constraints import Bound
from hippo_core.objective import Objective
from hippo_core.simulation.response import Model
from hippo_core.values import Scalar, typed

BEGIN = 1.0
"""The loss before step 0."""

ASYMPTOTES = (0.02, 0.5)
MIDDLE = sum(ASYMPTOTES) / 2
EXPONENTS = (0.3, 1.1)
RECENT = 1024
"""So many mappings of values are recognised as those that were seen already."""

SMALLEST = 1e-8
"""Numbers are compared by their logarithm above this magnitude."""


@dataclass(frozen=True, slots=True)
class _Effect:
    """What values lead to.

    Attributes:
        digest: Of the values.
        laws: For each objective asymptote and exponent.
    """

    digest: bytes
    laws: tuple[tuple[float, float], ...]


@dataclass(slots=True)
class PowerLaw:
    """Power-law curves with noise; equal prefixes of values under one seed give equal metrics.

    Attributes:
        objectives: The metrics to report: of one that is to be large, 1 minus the loss.
        seed: Decides the family.
        noise: The standard deviation of what an evaluation adds to the loss.
        bounds: For metrics that are to lie about a bound: where the loss is ``MIDDLE``, they are at it. So about half
            of all values keep it in the end, and none at first.
    """

    objectives: Sequence[Objective]
    seed: int = 0
    noise: float = 0.005
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    _effects: dict[tuple[object, ...], _Effect] = field(default_factory=dict, init=False)
    _recent: dict[int, tuple[Mapping[str, Scalar], _Effect]] = field(default_factory=dict, init=False)
    _parts: dict[tuple[object, ...], float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Checks the noise."""
        if isinstance(self.noise, bool) or not isinstance(self.noise, int | float) or not 0 <= self.noise < 1:
            raise InvalidStudy("noise", f"must be a number from 0 to below 1, not {self.noise!r}")

    def begin(self, seed: int) -> Model:
        """The losses before step 0; the program's seed decides the noise of what follows."""
        return seed.to_bytes(16), (BEGIN,) * len(self.objectives)

    def train(self, model: Model, step: int, values: Mapping[str, Scalar]) -> Model:
        """The losses a step later."""
        before, losses = model
        effect = self._effect(values)
        digest = hashlib.blake2b(before + effect.digest, digest_size=16).digest()
        left = (step + 1) / (step + 2)
        return digest, tuple(
            asymptote + (loss - asymptote) * left**exponent
            for loss, (asymptote, exponent) in zip(losses, effect.laws, strict=True)
        )

    def evaluate(self, model: Model) -> dict[str, float]:
        """The metrics: the noise is decided by the program's seed and the whole history of values."""
        digest, losses = model
        found = {}
        for place, (objective, loss) in enumerate(zip(self.objectives, losses, strict=True)):
            seen = loss + self.noise * _normal(digest, place) if self.noise else loss
            bound = self.bounds.get(objective.metric)
            if bound is not None:
                found[objective.metric] = _about(bound, seen)
            else:
                found[objective.metric] = 1.0 - seen if objective.maximize else seen
        return found

    def exponents(self, values: Mapping[str, Scalar]) -> tuple[float, ...]:
        """For each objective, how fast its loss falls under some values."""
        return tuple(exponent for _, exponent in self._effect(values).laws)

    def _effect(self, values: Mapping[str, Scalar]) -> _Effect:
        recent = self._recent.get(id(values))
        if recent is not None:
            return recent[1]  # where values stay, they are handed over as one mapping
        key = (*values, *[typed(value) for value in values.values()])
        found = self._effects.get(key)
        if found is None:
            digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
            laws = tuple(
                (
                    _between(ASYMPTOTES, self._mean(objective.metric, "asymptote", values)),
                    _between(EXPONENTS, self._mean(objective.metric, "exponent", values)),
                )
                for objective in self.objectives
            )
            found = self._effects[key] = _Effect(digest, laws)
        if len(self._recent) >= RECENT:
            self._recent.clear()
        self._recent[id(values)] = values, found  # kept, so that no other mapping has its identity
        return found

    def _mean(self, metric: str, what: str, values: Mapping[str, Scalar]) -> float:
        """From 0 to 1: the mean over the hyper-parameters of what each leads to."""
        if not values:
            return 0.5
        return sum(self._part(metric, what, name, value) for name, value in values.items()) / len(values)

    def _part(self, metric: str, what: str, name: str, value: Scalar) -> float:
        """From 0 to 1: a random wave over the logarithm of a number, a random number for anything else."""
        key = (metric, what, name, typed(value))
        found = self._parts.get(key)
        if found is None:
            found = self._parts[key] = self._wave(metric, what, name, value)
        return found

    def _wave(self, metric: str, what: str, name: str, value: Scalar) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _uniform(self.seed, metric, what, name, repr(value))
        place = math.copysign(math.log2(1 + abs(value) / SMALLEST), value)
        phase = _uniform(self.seed, metric, what, name, "phase")
        pace = 0.3 + _uniform(self.seed, metric, what, name, "pace")
        return 0.5 + 0.5 * math.cos(2 * math.pi * phase + pace * place)


def _about(bound: Bound, loss: float) -> float:
    """A metric that is within a bound where a loss is small."""
    beyond = (loss - MIDDLE) / MIDDLE * (abs(bound.value) or 1.0)
    return bound.value + beyond if bound.is_upper else bound.value - beyond


def _between(limits: tuple[float, float], share: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * share


def _uniform(*words: object) -> float:
    digest = hashlib.blake2b(repr(words).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def _normal(digest: bytes, place: int) -> float:
    """A normally distributed number (Box and Muller, 1958)."""
    drawn = hashlib.blake2b(digest, digest_size=16, salt=place.to_bytes(8, "big")).digest()
    radius = ((int.from_bytes(drawn[:8], "big") >> 11) + 1) / 2**53
    angle = (int.from_bytes(drawn[8:], "big") >> 11) / 2**53
    return math.sqrt(-2 * math.log(radius)) * math.cos(2 * math.pi * angle)
