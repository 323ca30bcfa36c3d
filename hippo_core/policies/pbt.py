"""PBT: population based training.

After M. Jaderberg et al., "Population Based Training of Neural Networks" (arXiv 1711.09846), section 3 and algorithm 1:
exploit by truncation selection (``hippo_core.policies.population``), explore by perturbing or resampling
(``hippo_core.policies.exploring``). Their symbols and words: the population P is the study's trials, eval is the
study's objective, ready is every ``interval`` steps; in their appendix A.1 ``quantile`` is 20 % and ``factors`` are 0.8
and 1.2, or 0.5 and 2.

The values that a fork has are constants from the step on at which it was forked: the schedule that a lineage discovers
is piecewise constant, and is read as an ordinary ``piecewise``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
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

FACTORS = (0.8, 1.2)


class Pbt(Population):
    """Forks explore by perturbing each value by itself.

    Args:
        selection: Who is compared when.
        perturbation: How a value is explored.
    """

    def __init__(self, selection: Selection, perturbation: Perturbation) -> None:
        super().__init__(selection)
        self._perturbation = perturbation

    def explore(self, fork: Fork, assignments: Callable[[int], Assignment]) -> Assignment:
        """Perturbs all values, until they are neither the parent's nor those of another fork of it there."""
        parent = assignments(fork.trial)
        domains = explored(self.space, parent)
        proposals = (
            {
                name: self._perturbation.value(domain, parent[name], self._chance(fork, attempt, name))
                for name, domain in domains.items()
            }
            for attempt in range(TRIES)
        )
        return first_allowed(self.space, parent, proposals, self._siblings(fork, assignments))


@dataclass(frozen=True, slots=True, kw_only=True)
class PbtSpec(PopulationSpec):
    """Population based training.

    Attributes:
        factors: With which of them a number that is not drawn anew is multiplied.
    """

    constrained: ClassVar[bool] = True

    factors: tuple[float, ...]

    @property
    def name(self) -> str:
        """``pbt``."""
        return "pbt"

    def populate(self, selection: Selection) -> Pbt:
        """The policy, given who is compared when."""
        return Pbt(selection, Perturbation(self.resample_probability, self.factors))

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "pbt", ...}``."""
        return {**PopulationSpec.to_json(self), "factors": list(self.factors)}


@worded("policies.pbt", PEERS)
def pbt(
    interval: int,
    quantile: float = 0.25,
    resample_probability: float = 0.25,
    factors: Sequence[float] = FACTORS,
    asynchronous: bool = False,
) -> PbtSpec:
    """Population based training: every so many steps, forks of the best trials take the places of the worst.

    The population is the study's ``max_trials`` trials; forks are counted beside. What the space draws as the plain
    value of a hyper-parameter is explored: a number is multiplied by a factor, and kept within its domain.

    Args:
        interval: Every how many steps trials are compared.
        quantile: The share that is replaced, and the share of those whose forks take their places; at most 0.5.
        resample_probability: How often a value is drawn anew from its domain instead.
        factors: With which of them a number is multiplied, equally likely.
        asynchronous: Compares a trial as it comes with those before it, rather than when all have come.
    """
    if isinstance(factors, str | bytes) or not isinstance(factors, Sequence) or not factors:
        raise InvalidStudy(
            "policies.pbt.factors", f"must be a list of numbers, not {factors!r}", "Write [0.8, 1.2]."
        )
    multiplied = tuple(
        arguments.number(each, f"policies.pbt.factors[{at}]") for at, each in enumerate(factors)
    )
    for at, each in enumerate(multiplied):
        if each <= 0 or each == 1:
            raise InvalidStudy(f"policies.pbt.factors[{at}]", f"must be above 0 and not 1, not {each}")
    return PbtSpec(
        **population_arguments("policies.pbt", interval, quantile, resample_probability, asynchronous),
        factors=multiplied,
    )
