"""A Gaussian process."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.samplers.learning import PEERS, Learning, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Gp(Learning):
    """Bayesian optimisation with a Gaussian process, in Optuna's form.

    A Matern 5/2 kernel with a length scale for each domain; the proposed point maximises the logarithm of the expected
    improvement (Ament et al.: *Unexpected Improvements to Expected Improvement*, NeurIPS 2023). With several
    objectives, that of the hypervolume. Trials that are still being trained are taken to come to the mean of those
    that completed (a constant liar; Ginsbourger, Le Riche, Carraro 2010). Learns from trials that were trained to
    their end. Fitting takes time that grows with the cube of their number: about 3 s for a proposal after 1,000 trials
    on an idle core.

    Attributes:
        startup_trials: So many trials must have completed before anything is learnt; until then, random points.
        noiseless: Whether training twice gives the same value, so that all that is measured is believed.
    """

    word = "gp"
    sees_stopped = False
    startup_trials: int = 10
    noiseless: bool = False


@worded("samplers.gp", {**PEERS, "deterministic_objective": "noiseless"})
def gp(startup_trials: int = 10, noiseless: bool = False) -> Gp:
    """A Gaussian process: for few, costly trials and few hyper-parameters, most of them continuous.

    Args:
        startup_trials: So many trials must have completed before anything is learnt; until then, random points.
        noiseless: Whether another seed would give the same value, so that all that is measured is believed.
    """
    return Gp(
        startup_trials=arguments.integer(startup_trials, "samplers.gp.startup_trials", 1),
        noiseless=flag(noiseless, "samplers.gp.noiseless"),
    )
