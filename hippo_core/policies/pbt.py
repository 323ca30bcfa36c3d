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
from typing import Any

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.exploring import TRIES, Perturbation, explored, first_allowed
from hippo_core.policies.policy import Fork
from hippo_core.policies.population import PEERS, Population, PopulationSpec, Selection
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
    """Population based training."""

    @property
    def name(self) -> str:
        """``pbt``."""
        return "pbt"

    def populate(self, selection: Selection) -> Pbt:
        """The policy, given who is compared when."""
        return Pbt(selection, Perturbation(self.resample_probability, self.factors))


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
    return PbtSpec(
        **population_arguments(
            "policies.pbt", interval, quantile, resample_probability, factors, asynchronous
        )
    )


def population_arguments(
    label: str, interval: Any, quantile: Any, resample_probability: Any, factors: Any, asynchronous: Any
) -> dict[str, Any]:
    """The arguments that populations have in common, checked.

    Raises:
        InvalidStudy: One is wrong.
    """
    share = arguments.number(quantile, f"{label}.quantile")
    if not 0 < share <= 1 / 2:
        raise InvalidStudy(f"{label}.quantile", f"must be above 0 and at most 0.5, not {share}")
    resampled = arguments.number(resample_probability, f"{label}.resample_probability")
    if not 0 <= resampled <= 1:
        raise InvalidStudy(f"{label}.resample_probability", f"must be from 0 to 1, not {resampled}")
    if isinstance(factors, str | bytes) or not isinstance(factors, Sequence) or not factors:
        raise InvalidStudy(
            f"{label}.factors", f"must be a list of numbers, not {factors!r}", "Write [0.8, 1.2]."
        )
    multiplied = tuple(arguments.number(each, f"{label}.factors[{at}]") for at, each in enumerate(factors))
    for at, each in enumerate(multiplied):
        if each <= 0 or each == 1:
            raise InvalidStudy(f"{label}.factors[{at}]", f"must be above 0 and not 1, not {each}")
    if not isinstance(asynchronous, bool):
        raise InvalidStudy(f"{label}.asynchronous", f"must be True or False, not {asynchronous!r}")
    return {
        "interval": arguments.integer(interval, f"{label}.interval", 1),
        "quantile": share,
        "resample_probability": resampled,
        "factors": multiplied,
        "asynchronous": asynchronous,
    }
