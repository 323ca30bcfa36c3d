"""Evolution with a covariance matrix."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.samplers.learning import PEERS, Learning
from hippo_core.space import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class CmaEs(Learning):
    """CMA-ES: covariance matrix adaptation.

    Hansen: *The CMA Evolution Strategy: A Tutorial* (arXiv 1604.00772). Each generation is drawn from a normal
    distribution, whose mean, step size and covariance follow from the better half of the generation before. Works on
    the domains of numbers that every trial has; choices, and what only some branches have, are drawn at random. Learns
    from trials that were trained to their end, in the order in which they ended; one that diverged is the worst, one
    that failed is replaced by a further draw.

    Attributes:
        population: Trials of a generation (lambda); None: 4 + 3 ln(number of domains), as the tutorial has it.
        sigma: The step size at first, where each domain is 1 wide.
    """

    word = "cma_es"
    several_objectives = False
    constrained = False
    sees_stopped = False
    population: int | None = None
    sigma: float = 1 / 6

    def check(self, space: Space, trials: int) -> None:
        """Needs domains of numbers that every trial has: two at least.

        Raises:
            InvalidStudy: There are fewer.
        """
        found = [
            domain.name for domain in space.unconditional() if domain.word != "choice" and domain.size != 1
        ]
        if len(found) < 2:
            named = f"only {found[0]!r}" if found else "none"
            raise InvalidStudy(
                "sampler",
                f"cma_es needs two domains of numbers that every trial has, but there is {named}",
                "Use samplers.tpe().",
            )


@worded(
    "samplers.cma_es",
    {
        **PEERS,
        "sigma0": "sigma",
        "n_startup_trials": "no argument for it: it begins at the middle of the space",
    },
)
def cma_es(population: int | None = None, sigma: float = 1 / 6) -> CmaEs:
    """CMA-ES: for some hundreds of trials and more, over numbers, where good values lie close to each other.

    Args:
        population: Trials of a generation; by default 4 + 3 ln(number of domains).
        sigma: How wide the first generation is drawn, as a part of each domain's width (in its logarithm, for
            ``loguniform`` and ``logint``).
    """
    width = arguments.number(sigma, "samplers.cma_es.sigma")
    if width <= 0:
        raise InvalidStudy("samplers.cma_es.sigma", f"must be above 0, not {width}")
    where = "samplers.cma_es.population"
    return CmaEs(
        population=None if population is None else arguments.integer(population, where, 3), sigma=width
    )
