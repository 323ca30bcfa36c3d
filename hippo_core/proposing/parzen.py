"""The tree-structured Parzen estimator, multivariate: where good points lie, against where the others do.

After J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization" (NIPS 2011), section 4, in the multivariate form
of S. Watanabe, "Tree-Structured Parzen Estimator: Understanding Its Algorithm Components and Their Roles for Better
Empirical Performance" (arXiv 2304.11127), section 3, with the weights, bandwidths, prior and quantile of Optuna 4's
``TPESampler(multivariate=True)``. Their symbols: l(x) is :attr:`TreeParzen.good`, g(x) is :attr:`TreeParzen.others`,
gamma is :func:`good_count`, and the acquisition is :meth:`TreeParzen.score`, the logarithm of l / g.

A density is a mixture of kernels, one about each point and a last one, the prior, about none. A kernel is that of a
walk through the space: each domain that the walk comes to is drawn about the point's value, or from the prior where the
point has none, because it went another way. So a density is one over all points of a conditional space, whichever
domains these have; in a space without conditions it is Optuna's.

- A number's kernel is a normal distribution over the domain's stretch of [0, 1] (``places``), cut off at its ends,
  of a width of ``0.2 * n ** (-1 / (d + 4))`` and not below ``1 / min(100, n + 2)``, with n the points that have the
  domain and d the domains. An int or a step has the mass of its part of the stretch. The prior is as wide as it is.
- An option's kernel is 1 + 1 / (n + 1) for the point's own and 1 / (n + 1) for each other, to scale. The prior is even.
- The latest 25 points weigh 1, as the prior does, and older ones the less the older they are, down to 1 / n.
- Points that are not known yet count among the others (the constant liar), so that proposals side by side keep apart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hippo_core.domains import Choice, Domain, Uniform
from hippo_core.drawing import name_of
from hippo_core.proposing.densities import NORMAL
from hippo_core.proposing.places import numbers_of, places_of, value
from hippo_core.space import Assignment, Space
from hippo_core.values import Scalar

Array = npt.NDArray[np.float64]

WIDTH = 0.2
"""A kernel's width where there is one point, in the stretch's."""

MOST_GOOD = 25
GOOD_SHARE = 0.1
RECENT = 25
"""How many points weigh as much as the prior."""

erf = np.frompyfunc(math.erf, 1, 1)


def good_count(known: int, share: float = GOOD_SHARE) -> int:
    """How many of the points that are known are good: a share of them, rounded up, and 25 at most."""
    return min(math.ceil(share * known), MOST_GOOD)


def weights_of(count: int) -> Array:
    """The weights of points in the order of their coming."""
    if count < RECENT:
        return np.ones(count)
    return np.concatenate([np.linspace(1.0 / count, 1.0, num=count - RECENT), np.ones(RECENT)])


class TreeParzen:
    """The model: the density of the good points, and that of the others.

    Args:
        space: What they are points of.
        data: Points and what each came to, of which less is better, in the order of their coming. A point may lie
            outside the space, and have domains that it lacks.
        pending: Points of which nothing is known yet.
        names: The domains that the model is of; None: all. The others are drawn evenly, and do not count.
        good_share: How many of the points are good; gamma, of the points that are known.

    Attributes:
        good: l.
        others: g.
    """

    def __init__(
        self,
        space: Space,
        data: Sequence[tuple[Assignment, Any]],
        pending: Sequence[Assignment] = (),
        names: Collection[str] | None = None,
        good_share: float = GOOD_SHARE,
    ) -> None:
        ranked = sorted(range(len(data)), key=lambda index: data[index][1])
        good = set(ranked[: good_count(len(data), good_share)])
        others = [point for index, (point, _) in enumerate(data) if index not in good]
        self.good = Density(space, [data[index][0] for index in sorted(good)], names)
        self.others = Density(space, [*others, *pending], names)

    def draw(
        self, stream: np.random.Generator, count: int, kept: Assignment | None = None
    ) -> list[dict[str, Scalar]]:
        """Points from l, as :meth:`Density.draw` has them."""
        return self.good.draw(stream, count, kept)

    def score(self, points: Sequence[Assignment]) -> Array:
        """The logarithm of l / g at each of some points: the larger, the more is to be expected there."""
        return self.good.log(points) - self.others.log(points)


class Density:
    """A mixture of kernels about points, and the prior.

    Args:
        space: What they are points of.
        points: The points, in the order of their coming; there may be none.
        names: The domains that it is a density of; None: all.
    """

    def __init__(
        self, space: Space, points: Sequence[Assignment], names: Collection[str] | None = None
    ) -> None:
        self._space = space
        domains = [
            domain
            for name, domain in sorted(space.domains.items())
            if domain.size != 1 and (names is None or name in names)
        ]
        self._columns = {name_of(domain): _column(domain, points, len(domains)) for domain in domains}
        weights = np.append(weights_of(len(points)), 1.0)
        self._log_weights = np.log(weights / weights.sum())

    def log(self, points: Sequence[Assignment]) -> Array:
        """The logarithm of the density at points.

        It is one over [0, 1] for each domain of floats, and over the values of each other one. What a point lacks, or
        has beside the density's domains, does not count.
        """
        return _log_of_sum(self._log_kernels(points))

    def draw(
        self, stream: np.random.Generator, count: int, kept: Assignment | None = None
    ) -> list[dict[str, Scalar]]:
        """Points from the density, whether or not they satisfy the constraints.

        Args:
            stream: Random numbers.
            count: How many.
            kept: Values that all of them are to have, where they come to these domains; the rest is drawn from the
                density given these.
        """
        fixed = kept or {}
        logs = self._log_kernels([fixed])[0]
        shares = np.exp(logs - logs.max()).cumsum()
        randoms = stream.random((count, 1 + len(self._columns)))
        kernels = np.searchsorted(shares, randoms[:, 0] * shares[-1], side="right")
        kernels = np.minimum(kernels, len(shares) - 1)
        drawn = {
            name: column.draw(kernels, randoms[:, 1 + index]).tolist()
            for index, (name, column) in enumerate(self._columns.items())
            if name not in fixed
        }
        return [self._walk(stream, drawn, row, fixed) for row in range(count)]

    def _walk(
        self,
        stream: np.random.Generator,
        drawn: Mapping[str, Sequence[float]],
        row: int,
        kept: Assignment,
    ) -> dict[str, Scalar]:
        def decide(domain: Domain) -> Scalar:
            name = name_of(domain)
            if name in kept:
                return kept[name]
            if name in drawn:
                return value(domain, drawn[name][row])
            return domain.draw(stream.random())

        return self._space.decide(decide)

    def _log_kernels(self, points: Sequence[Assignment]) -> Array:
        """By point and kernel, with the kernel's weight."""
        total = np.tile(self._log_weights, (len(points), 1))
        for name, column in self._columns.items():
            numbers = numbers_of(column.domain, [point.get(name) for point in points])
            there = ~np.isnan(numbers)
            if there.any():
                total[there] += column.log(numbers[there])
        return total


class _Numbers:
    """The kernels of a domain of numbers, the prior's last.

    Args:
        domain: The domain.
        numbers: The points', not a number where one lacks the domain.
        dimensions: How many domains the density is of.
    """

    def __init__(self, domain: Domain, numbers: Array, dimensions: int) -> None:
        self.domain = domain
        lacking = np.append(np.isnan(numbers), True)
        known = len(lacking) - int(lacking.sum())
        width = max(WIDTH * max(known, 1) ** (-1 / (dimensions + 4)), 1 / min(100, known + 2))
        self._centres = np.where(lacking, 0.5, np.append(places_of(domain, numbers), 0.5))
        self._widths = np.where(lacking, 1.0, width)
        self._below = _normal((0.0 - self._centres) / self._widths)
        self._inside = _normal((1.0 - self._centres) / self._widths) - self._below

    def log(self, numbers: Array) -> Array:
        """The logarithm of each kernel at some numbers, by number and kernel."""
        if isinstance(self.domain, Uniform):
            away = (places_of(self.domain, numbers)[:, None] - self._centres) / self._widths
            return np.asarray(-0.5 * away**2 - np.log(self._inside * self._widths * math.sqrt(2 * math.pi)))
        values, where = np.unique(numbers, return_inverse=True)
        kernels, kernel = np.unique(
            np.stack([self._centres, self._widths], axis=1), axis=0, return_inverse=True
        )
        centres, widths = kernels[:, 0], kernels[:, 1]
        edges = [
            _normal((places_of(self.domain, values + side)[:, None] - centres) / widths)
            for side in (-0.5, 0.5)
        ]
        masses = np.log(np.maximum(edges[1] - edges[0], 1e-300))
        return np.asarray(masses[np.ix_(where.ravel(), kernel.ravel())] - np.log(self._inside))

    def draw(self, kernels: npt.NDArray[np.intp], uniform: Array) -> Array:
        """Places, one from each of some kernels."""
        levels = self._below[kernels] + self._inside[kernels] * uniform
        found = [NORMAL.inv_cdf(min(max(level, 1e-300), 1 - 1e-16)) for level in levels.tolist()]
        places = self._centres[kernels] + self._widths[kernels] * np.array(found)
        return np.asarray(np.clip(places, 0.0, 1.0))


class _Options:
    """The kernels of a choice, the prior's last; arguments as for numbers."""

    def __init__(self, domain: Choice, numbers: Array) -> None:
        self.domain = domain
        lacking = np.isnan(numbers)
        count = len(domain.options)
        other = 1 / (len(numbers) - int(lacking.sum()) + 1)
        shares = np.full((len(numbers) + 1, count), 1 / count)
        shares[:-1][~lacking] = other / (1 + count * other)
        shares[np.flatnonzero(~lacking), numbers[~lacking].astype(int)] += 1 / (1 + count * other)
        self._shares = shares

    def log(self, numbers: Array) -> Array:
        """The logarithm of each kernel at some options, by option and kernel."""
        return np.asarray(np.log(self._shares[:, numbers.astype(int)].T))

    def draw(self, kernels: npt.NDArray[np.intp], uniform: Array) -> Array:
        """Places, one from each of some kernels."""
        count = self._shares.shape[1]
        options = (self._shares[kernels].cumsum(axis=1) <= uniform[:, None]).sum(axis=1)
        return np.asarray((np.minimum(options, count - 1) + 0.5) / count)


def _column(domain: Domain, points: Sequence[Assignment], dimensions: int) -> _Numbers | _Options:
    name = name_of(domain)
    numbers = numbers_of(domain, [point.get(name) for point in points])
    return _Options(domain, numbers) if isinstance(domain, Choice) else _Numbers(domain, numbers, dimensions)


def _normal(at: Array) -> Array:
    """The standard normal distribution function."""
    return np.asarray(0.5 + 0.5 * np.asarray(erf(at / math.sqrt(2)), np.float64))


def _log_of_sum(logs: Array) -> Array:
    highest = logs.max(axis=1)
    return np.asarray(np.log(np.exp(logs - highest[:, None]).sum(axis=1)) + highest)
