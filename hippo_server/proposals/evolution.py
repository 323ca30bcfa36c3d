"""CMA-ES, from the history alone.

``cmaes`` has the algorithm (Hansen, arXiv 1604.00772); here a generation's state is made anew from all generations
before. Each trial notes its generation (g); the first lambda trials of a generation to end, in order of arrival, are
what the distribution (m, sigma, C) of the next follows from; a trial that diverged is the worst. Domains are 1 wide,
from 0 to 1, in their logarithm where they are drawn so; ints stand in the middle of their stretch. The first mean is
the middle of the space, or that of random points where constraints cut it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import cmaes
import numpy as np
import numpy.typing as npt

from hippo_core.domains import Domain, Integer, Stepped, Uniform
from hippo_core.drawing import name_of
from hippo_core.engine.proposals import ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.proposing.places import place, value
from hippo_core.samplers import CmaEs, Random
from hippo_core.space import Space
from hippo_core.values import Scalar

Vector = npt.NDArray[np.float64]
RESAMPLINGS_PER_DIMENSION = 10
POINTS_FOR_MIDDLE = 64


def axes(space: Space) -> list[Domain]:
    """The domains of numbers that every trial has, by name."""
    return [
        domain
        for domain in space.unconditional()
        if isinstance(domain, Uniform | Integer | Stepped) and domain.size != 1
    ]


class Evolution:
    """The state of CMA-ES after a history.

    Args:
        task: The history.
        sampler: The arguments.

    Attributes:
        generation: What is drawn from now.
    """

    def __init__(self, task: ProposalTask, sampler: CmaEs) -> None:
        self._axes = axes(task.spec.space)
        dimensions = len(self._axes)
        self._optimizer = cmaes.CMA(
            mean=_middle(task, self._axes),
            sigma=sampler.sigma,
            bounds=np.array([[0.0, 1.0]] * dimensions),
            n_max_resampling=RESAMPLINGS_PER_DIMENSION * dimensions,
            seed=0,
            population_size=sampler.population,
        )
        ended = _ended(task, self._axes)
        while len(ended[self.generation]) >= self._optimizer.population_size:
            self._optimizer.tell(ended[self.generation][: self._optimizer.population_size])

    @property
    def generation(self) -> int:
        """From 0."""
        return int(self._optimizer.generation)

    def draw(self, seed: int) -> dict[str, Scalar]:
        """A point of the generation."""
        self._optimizer.reseed_rng(seed)
        places: Sequence[float] = self._optimizer.ask().tolist()
        return {name_of(axis): value(axis, at) for axis, at in zip(self._axes, places, strict=True)}


def _middle(task: ProposalTask, found: Sequence[Domain]) -> Vector:
    """The middle of the space, or of what its constraints allow."""
    space, seed = task.spec.space, task.spec.program.seed
    if not space.constraints:
        return np.full(len(found), 0.5)
    points = [Random().point(space, seed, number) for number in range(POINTS_FOR_MIDDLE)]
    mean: Vector = np.array([[place(axis, point[name_of(axis)]) for axis in found] for point in points]).mean(
        axis=0
    )
    return mean


def _ended(task: ProposalTask, found: Sequence[Domain]) -> dict[int, list[tuple[Vector, float]]]:
    """By generation, the places and costs of trials, in the order in which they ended."""
    sign = -1.0 if task.spec.objectives[0].maximize else 1.0
    ended: dict[int, list[tuple[Vector, float]]] = defaultdict(list)
    for past in sorted(task.history, key=lambda each: each.sequence):
        generation = past.notes.get("generation")
        if generation is None or past.state not in {TrialState.COMPLETED, TrialState.DIVERGED}:
            continue
        diverged = past.state is TrialState.DIVERGED
        cost = math.inf if diverged else sign * past.values[max(past.values)][0]
        at = np.array([place(axis, past.assignment[name_of(axis)]) for axis in found])
        ended[generation].append((at, cost))
    return ended
