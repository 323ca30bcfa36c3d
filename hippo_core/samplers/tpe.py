"""The tree-structured Parzen estimator."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.samplers.learning import PEERS, Learning, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpe(Learning):
    """The tree-structured Parzen estimator.

    Bergstra, Bardenet, Bengio, Kegl: *Algorithms for Hyper-Parameter Optimization* (NIPS 2011), section 4, in Optuna's
    form (Watanabe, arXiv 2304.11127): two densities, l(x) of the good trials and g(x) of the others; of ``candidates``
    draws from l, the one with the largest l(x) / g(x) is proposed. Trials that were stopped count by the step that they
    reached and then by their value; trials that are still being trained count among the others, so that parallel
    proposals keep away from them (the constant liar).

    Attributes:
        multivariate: Whether the densities are joint, over all domains that trials have in common.
        grouped: With ``multivariate``: whether the domains of each branch of a conditional space are a group with a
            joint density of its own.
        startup_trials: So many trials must have ended before anything is learnt from them; until then, random points.
        candidates: How many draws are compared.
    """

    word = "tpe"
    multivariate: bool = True
    grouped: bool = True
    startup_trials: int = 10
    candidates: int = 24


@worded("samplers.tpe", {**PEERS, "group": "grouped", "n_ei_candidates": "candidates"})
def tpe(
    multivariate: bool = True, grouped: bool | None = None, startup_trials: int = 10, candidates: int = 24
) -> Tpe:
    """The tree-structured Parzen estimator: the sampler to begin with; also with policies that stop trials early.

    Args:
        multivariate: Whether dependences between hyper-parameters are learnt.
        grouped: Whether they are learnt in each branch of a conditional space; by default as ``multivariate``.
        startup_trials: So many trials must have ended before anything is learnt; until then, random points.
        candidates: How many draws are compared for each proposal.
    """
    joint = flag(multivariate, "samplers.tpe.multivariate")
    groups = joint if grouped is None else flag(grouped, "samplers.tpe.grouped")
    if groups and not joint:
        raise InvalidStudy(
            "samplers.tpe.grouped", "groups are of joint densities", "Use multivariate=True, too."
        )
    return Tpe(
        multivariate=joint,
        grouped=groups,
        startup_trials=arguments.integer(startup_trials, "samplers.tpe.startup_trials", 1),
        candidates=arguments.integer(candidates, "samplers.tpe.candidates", 1),
    )
