"""The sampler that comes with ``policies.dehb``."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.samplers.learning import Learning


@dataclass(frozen=True, slots=True, kw_only=True)
class Dehb(Learning):
    """DEHB's points, as the policy's arguments have them (``hippo_core.proposing.dehb``)."""

    word = "dehb"
    several_objectives = False
    brought = True
    repeats = True


def dehb() -> Dehb:
    """Points that evolve, each for a step of its own: what ``policies.dehb`` brings with it."""
    return Dehb()
