"""The sampler that comes with ``policies.greedy_phases``."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.samplers.learning import Learning


@dataclass(frozen=True, slots=True, kw_only=True)
class GreedyPhases(Learning):
    """Candidates for one phase after the other (``hippo_core.proposing.greedy_phases``)."""

    word = "greedy_phases"
    several_objectives = False
    brought = True


def greedy_phases() -> GreedyPhases:
    """Candidates for one phase after the other: what ``policies.greedy_phases`` brings with it."""
    return GreedyPhases()
