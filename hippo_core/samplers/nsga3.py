"""Evolution by non-dominated sorting and reference points."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.samplers.learning import Learning
from hippo_core.samplers.nsga2 import NSGA_PEERS, genetic


@dataclass(frozen=True, slots=True, kw_only=True)
class Nsga3(Learning):
    """NSGA-III, in Optuna's form.

    Deb, Jain: *An Evolutionary Many-Objective Optimization Algorithm Using Reference-Point-Based Nondominated Sorting
    Approach* (IEEE Transactions on Evolutionary Computation 18(4), 2014). As NSGA-II, but instead of the crowding
    distance evenly spread reference points keep the front wide. Learns from trials that were trained to their end.

    Attributes:
        population: Trials of a generation (N).
        mutation: Probability that a domain is drawn anew; None: 1 / number of domains.
        crossover: Probability that a child has two parents.
        swapping: Probability that a child of two has a domain's value from the second.
        divisions: Of each objective's axis, for the reference points (p).
    """

    word = "nsga3"
    sees_stopped = False
    recombines = True
    population: int = 50
    mutation: float | None = None
    crossover: float = 0.9
    swapping: float = 0.5
    divisions: int = 3


@worded("samplers.nsga3", {**NSGA_PEERS, "dividing_parameter": "divisions"})
def nsga3(
    population: int = 50,
    mutation: float | None = None,
    crossover: float = 0.9,
    swapping: float = 0.5,
    divisions: int = 3,
) -> Nsga3:
    """NSGA-III: for three objectives and more, and many trials.

    Args:
        population: Trials of a generation.
        mutation: Probability that a domain is drawn anew; by default 1 / number of domains.
        crossover: Probability that a child has two parents.
        swapping: Probability that a child of two has a domain's value from the second.
        divisions: Of each objective's axis, for the reference points.
    """
    return Nsga3(
        **genetic("samplers.nsga3", population, mutation, crossover, swapping),
        divisions=arguments.integer(divisions, "samplers.nsga3.divisions", 1),
    )
