"""Evolution by non-dominated sorting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.samplers.learning import PEERS, Learning, probability

NSGA_PEERS = {
    **PEERS,
    "mutation_prob": "mutation",
    "crossover_prob": "crossover",
    "swapping_prob": "swapping",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nsga2(Learning):
    """NSGA-II, in Optuna's form.

    Deb, Pratap, Agarwal, Meyarivan: *A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II* (IEEE Transactions
    on Evolutionary Computation 6(2), 2002). The parents of a generation are the best of the one before by
    non-dominated sorting, then by crowding distance; children are crossed by the uniform crossover. Learns from trials
    that were trained to their end.

    Attributes:
        population: Trials of a generation (N).
        mutation: Probability that a domain is drawn anew (p_m); None: 1 / number of domains.
        crossover: Probability that a child has two parents (p_c).
        swapping: Probability that a child of two has a domain's value from the second.
    """

    word = "nsga2"
    sees_stopped = False
    recombines = True
    population: int = 50
    mutation: float | None = None
    crossover: float = 0.9
    swapping: float = 0.5


def genetic(label: str, population: Any, mutation: Any, crossover: Any, swapping: Any) -> dict[str, Any]:
    """The arguments that genetic samplers have in common, checked.

    Raises:
        InvalidStudy: One is wrong.
    """
    return {
        "population": arguments.integer(population, f"{label}.population", 2),
        "mutation": None if mutation is None else probability(mutation, f"{label}.mutation"),
        "crossover": probability(crossover, f"{label}.crossover"),
        "swapping": probability(swapping, f"{label}.swapping"),
    }


@worded("samplers.nsga2", NSGA_PEERS)
def nsga2(
    population: int = 50, mutation: float | None = None, crossover: float = 0.9, swapping: float = 0.5
) -> Nsga2:
    """NSGA-II: for two or three objectives and many trials.

    Args:
        population: Trials of a generation.
        mutation: Probability that a domain is drawn anew; by default 1 / number of domains.
        crossover: Probability that a child has two parents.
        swapping: Probability that a child of two has a domain's value from the second.
    """
    return Nsga2(**genetic("samplers.nsga2", population, mutation, crossover, swapping))
