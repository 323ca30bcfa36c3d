"""The sampler that comes with ``policies.fork_asha``."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.samplers.learning import Learning


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkAsha(Learning):
    """New points and forks, as the policy's arguments have them (``hippo_core.proposing.fork_asha``)."""

    word = "fork_asha"
    several_objectives = False
    brought = True


def fork_asha() -> ForkAsha:
    """New points, and forks of the best trials: what ``policies.fork_asha`` brings with it."""
    return ForkAsha()
