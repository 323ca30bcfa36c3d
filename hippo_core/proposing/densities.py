"""Kernel densities over a space: of domains of all kinds, also of those that only some points have.

A density is that of a walk through the space from one of its points, drawn at random: each domain that the walk comes
to is drawn from a kernel about the point's value, or evenly where the point has none, because it went another way. So
it is a density over all points of a conditional space, whichever domains these have.

The kernel of a number is a normal distribution over the domain's stretch of [0, 1], cut off at its ends; that of a
choice is J. Aitchison, C. Aitken: *Multivariate binary discrimination by the kernel method* (Biometrika 63(3), 1976):
1 - h for the point's option, h / (c - 1) for each of the others. A bandwidth is that of the normal reference rule,
``1.06 * sigma * n ** (-1 / (4 + d))``. The sigma of a choice is that of its options as unit vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from hippo_core.domains import Choice, Domain
from hippo_core.drawing import name_of
from hippo_core.proposing.places import numbers_of, places_of, value
from hippo_core.space import Assignment, Space
from hippo_core.values import Scalar

Array = npt.NDArray[np.float64]
NORMAL = NormalDist()
REFERENCE = 1.06


def rows_of(space: Space, points: Sequence[Assignment]) -> Array:
    """Points as rows: a number's place, a choice's option; not a number where a point lacks the domain."""
    domains = [space.domains[name] for name in sorted(space.domains)]
    found = np.empty((len(points), len(domains)))
    for column, domain in enumerate(domains):
        numbers = numbers_of(domain, [point.get(name_of(domain)) for point in points])
        found[:, column] = numbers if isinstance(domain, Choice) else places_of(domain, numbers)
    return found


class Density:
    """A density about points.

    Args:
        space: What they are points of.
        points: The points, one at least.
        min_bandwidth: The least bandwidth, for domains in which all points agree.
        bandwidths: Those of another density, in place of the points' own.

    Attributes:
        bandwidths: By domain, in the order of their names.
    """

    def __init__(
        self,
        space: Space,
        points: Sequence[Assignment],
        min_bandwidth: float,
        bandwidths: Sequence[float] | None = None,
    ) -> None:
        self._space = space
        self._domains = [space.domains[name] for name in sorted(space.domains)]
        self._columns = {name_of(domain): column for column, domain in enumerate(self._domains)}
        self._rows = rows_of(space, points)
        self.bandwidths = bandwidths or [
            self._bandwidth(domain, column, min_bandwidth) for column, domain in enumerate(self._domains)
        ]

    def log(self, rows: Array) -> Array:
        """The logarithm of the density at points, given as :func:`rows_of` gives them."""
        total = np.zeros((len(rows), len(self._rows)))
        for column, domain in enumerate(self._domains):
            at, about = rows[:, column, None], self._rows[None, :, column]
            even = -math.log(len(domain.options)) if isinstance(domain, Choice) else 0.0
            kernel = np.where(np.isnan(about), even, self._log_kernel(domain, column, at, about))
            total += np.where(np.isnan(at), 0.0, kernel)
        highest = total.max(axis=1, keepdims=True)
        found: Array = highest[:, 0] + np.log(np.exp(total - highest).mean(axis=1))
        return found

    def draw(self, stream: np.random.Generator, factor: float) -> dict[str, Scalar]:
        """A point from the density with wider bandwidths, whether or not it satisfies the constraints.

        Args:
            stream: Random numbers.
            factor: How many times wider they are.
        """
        row = self._rows[int(stream.random() * len(self._rows))]

        def decide(domain: Domain) -> Scalar:
            column = self._columns[name_of(domain)]
            about, width = float(row[column]), self.bandwidths[column] * factor
            if math.isnan(about):
                return domain.draw(stream.random())
            if isinstance(domain, Choice):
                return _other_option(int(about), len(domain.options), width, stream)
            low, high = NORMAL.cdf(-about / width), NORMAL.cdf((1 - about) / width)
            level = low + (high - low) * stream.random()
            at = about + width * NORMAL.inv_cdf(min(max(level, 1e-300), 1 - 1e-16))
            return value(domain, min(max(at, 0.0), 1.0))

        return self._space.decide(decide)

    def _bandwidth(self, domain: Domain, column: int, least: float) -> float:
        known = self._rows[:, column]
        known = known[~np.isnan(known)]
        if isinstance(domain, Choice):
            shares = np.bincount(known.astype(int), minlength=len(domain.options)) / max(len(known), 1)
            sigma = math.sqrt(max(0.0, 1.0 - float((shares**2).sum())))
        else:
            sigma = float(known.std()) if len(known) else 0.0
        rate: float = max(len(known), 1) ** (-1 / (4 + len(self._domains)))
        width = max(REFERENCE * sigma * rate, least)
        return min(width, _widest(len(domain.options))) if isinstance(domain, Choice) else width

    def _log_kernel(self, domain: Domain, column: int, at: Array, about: Array) -> Array:
        width = self.bandwidths[column]
        if isinstance(domain, Choice):
            others = len(domain.options) - 1
            if not others:
                return np.zeros(np.broadcast_shapes(at.shape, about.shape))
            return np.where(at == about, math.log1p(-width), math.log(width / others))
        inside = np.array(
            [
                1.0 if math.isnan(each) else NORMAL.cdf((1 - each) / width) - NORMAL.cdf(-each / width)
                for each in about[0]
            ]
        )
        spread = width * math.sqrt(2 * math.pi)
        return np.asarray(-0.5 * ((at - about) / width) ** 2 - np.log(inside[None, :] * spread))


def _widest(options: int) -> float:
    """The bandwidth at which all options are equally likely."""
    return (options - 1) / options


def _other_option(option: int, options: int, width: float, stream: np.random.Generator) -> int:
    """An option, another than the given one with a probability of ``width``, which is cut off where all are equal."""
    if stream.random() >= min(width, _widest(options)):
        return option
    other = int(stream.random() * (options - 1))
    return other if other < option else other + 1
