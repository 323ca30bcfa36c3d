"""The policy that is chosen by the space and the number of slots when the study is created."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core.arguments import worded
from hippo_core.policies.policy import Policy, PolicySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSpec(PolicySpec):
    """A policy and a sampler are still to be chosen (``hippo_core.choosing``)."""

    several_objectives: ClassVar[bool] = True
    constrained: ClassVar[bool] = True
    proposes: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """``auto``."""
        return "auto"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """Whoever creates the study has chosen before."""
        raise AssertionError("policies.auto() is no policy that trains; it is chosen for one first")

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """Whatever is chosen fits."""
        return []

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "auto"}``."""
        return {"policy": "auto"}


AUTOMATIC = "no argument for it: to set it, name the policy that is chosen, as hippo plan says"


@worded(
    "policies.auto",
    {
        **dict.fromkeys(("min_steps", "reduction_factor", "fork_share", "probe_steps", "slots"), AUTOMATIC),
        "sampler": "no argument for it: its points are chosen with it",
        "seed": "seed, which is the study's",
    },
)
def auto() -> AutoSpec:
    """The policy, and the sampler with it, that suit the space and the number of slots.

    Chosen once, when the study is created, and kept: the study is the same afterwards wherever it goes on. What was
    chosen, and why, is said then, by ``hippo plan`` before and by ``hippo study show`` ever after.
    """
    return AutoSpec()
