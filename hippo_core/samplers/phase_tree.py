"""The sampler that comes with ``policies.phase_tree``."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.samplers.learning import Learning


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTree(Learning):
    """The phase tree's points, as the policy's arguments have them (``hippo_core.proposing.phase_tree``)."""

    word = "phase_tree"
    several_objectives = False
    brought = True
    repeats = True


def phase_tree() -> PhaseTree:
    """Points that go on from others' phases: what ``policies.phase_tree`` brings with it."""
    return PhaseTree()
