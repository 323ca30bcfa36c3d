"""Hyperband: successive halving in several brackets, from many trials compared often to few compared never.

After L. Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR 18(185), 2018),
section 3, algorithm 1; asynchronously after L. Li et al. (arXiv 1810.05934), section 3. Their symbols, and which trial
comes into which bracket, are told in ``ladder``; each bracket is a ``sha`` of its own, or an ``asha``.

Where it departs from the paper: the study's trials are dealt out to all brackets as they come, in the paper's
proportion, and the brackets run side by side; ``max_trials`` says how many there are in all, rather than B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.asha import Asha
from hippo_core.policies.halving import PEERS, Compared, HalvingSpec, compared
from hippo_core.policies.policy import Policy
from hippo_core.policies.sha import Sha


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperbandSpec(HalvingSpec):
    """Hyperband.

    Attributes:
        asynchronous: Whether a trial is promoted as soon as it is among the best so far, rather than when its rung is
            complete.
    """

    asynchronous: bool = False

    @property
    def name(self) -> str:
        """``hyperband``."""
        return "hyperband"

    @property
    def most_brackets(self) -> int | None:
        """One for each rung."""
        return None

    @property
    def waits(self) -> bool:
        """Unless it is asynchronous."""
        return not self.asynchronous

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        rules = self.rules(maximize, evaluate_every)
        return Asha(rules) if self.asynchronous else Sha(rules, max_trials)

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "hyperband", ...}``."""
        return {**HalvingSpec.to_json(self), "asynchronous": self.asynchronous}


@worded("policies.hyperband", PEERS)
def hyperband(
    min_steps: int = 1, reduction_factor: int = 3, asynchronous: bool = False, compare: Compared = "trials"
) -> HyperbandSpec:
    """Successive halving in as many brackets as there are rungs; those of bracket b begin at rung b.

    Args:
        min_steps: The first rung. Others are at min_steps * reduction_factor**k, the last one at max_steps.
        reduction_factor: The best 1/reduction_factor of a rung are promoted.
        asynchronous: Promotes at once what is among the best so far, rather than when the whole rung is known.
        compare: "models": trials that are one and the same up to a rung count once there.
    """
    if not isinstance(asynchronous, bool):
        raise InvalidStudy("policies.hyperband.asynchronous", f"must be True or False, not {asynchronous!r}")
    return HyperbandSpec(
        min_steps=arguments.integer(min_steps, "policies.hyperband.min_steps", 1),
        reduction_factor=arguments.integer(reduction_factor, "policies.hyperband.reduction_factor", 2),
        asynchronous=asynchronous,
        compare=compared(compare, "policies.hyperband.compare"),
    )
