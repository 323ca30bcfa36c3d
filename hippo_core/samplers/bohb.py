"""The model of BOHB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.samplers.learning import PEERS, Learning, probability

BEYOND = "the policy's: policies.hyperband(min_steps=..., reduction_factor=...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bohb(Learning):
    """BOHB's model (``hippo_core.proposing.bohb``), for policies that compare trials at rungs.

    Attributes:
        random_fraction: So many points are random.
        top_fraction: So many of the trials that were compared are good.
        candidates: How many draws are compared for each proposal.
        bandwidth_factor: How many times wider kernels are for drawing than for comparing.
        min_bandwidth: The least width of a kernel, where each domain is 1 wide.
        min_points: A model needs two trials more than this at one step; None: one more than there are domains.
    """

    word = "bohb"
    several_objectives = False
    needs_rungs: ClassVar[bool] = True
    random_fraction: float = 1 / 3
    top_fraction: float = 0.15
    candidates: int = 64
    bandwidth_factor: float = 3.0
    min_bandwidth: float = 1e-3
    min_points: int | None = None


@worded(
    "samplers.bohb",
    {
        **PEERS,
        "min_points_in_model": "min_points",
        "n_startup_trials": "min_points",
        "top_n_percent": "top_fraction, from 0 to 1",
        "num_samples": "candidates",
        "n_ei_candidates": "candidates",
        **dict.fromkeys(("eta", "reduction_factor", "min_budget", "max_budget", "min_steps"), BEYOND),
    },
)
def bohb(
    random_fraction: float = 1 / 3,
    top_fraction: float = 0.15,
    candidates: int = 64,
    bandwidth_factor: float = 3.0,
    min_bandwidth: float = 1e-3,
    min_points: int | None = None,
) -> Bohb:
    """BOHB's model: learns from trials compared at the same step, the furthest at which enough of them were.

    BOHB is this sampler beside ``policies.hyperband(asynchronous=True)``; any halving policy will do.

    Args:
        random_fraction: So many points are random (rho).
        top_fraction: So many of the trials that were compared are good (q).
        candidates: How many draws are compared for each proposal (N_s).
        bandwidth_factor: How many times wider kernels are for drawing than for comparing (b_w).
        min_bandwidth: The least width of a kernel, where each domain is 1 wide.
        min_points: A model needs two trials more than this at one step (N_min); by default one more than there are
            domains.
    """
    factor = arguments.number(bandwidth_factor, "samplers.bohb.bandwidth_factor")
    least = arguments.number(min_bandwidth, "samplers.bohb.min_bandwidth")
    share = probability(top_fraction, "samplers.bohb.top_fraction")
    for field, found in (("bandwidth_factor", factor), ("min_bandwidth", least), ("top_fraction", share)):
        if found <= 0:
            raise InvalidStudy(f"samplers.bohb.{field}", f"must be above 0, not {found}")
    where = "samplers.bohb.min_points"
    return Bohb(
        random_fraction=probability(random_fraction, "samplers.bohb.random_fraction"),
        top_fraction=share,
        candidates=arguments.integer(candidates, "samplers.bohb.candidates", 1),
        bandwidth_factor=factor,
        min_bandwidth=least,
        min_points=None if min_points is None else arguments.integer(min_points, where, 1),
    )
