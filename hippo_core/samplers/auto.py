"""The sampler of the policy that is chosen by the space: a stand-in until then."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.arguments import worded
from hippo_core.samplers.learning import Learning


@dataclass(frozen=True, slots=True, kw_only=True)
class Auto(Learning):
    """Points of ``policies.auto()``; none of its own."""

    word = "auto"
    brought = True


@worded("samplers.auto")
def auto() -> Auto:
    """The points of ``policies.auto()``, with which they come."""
    return Auto()
