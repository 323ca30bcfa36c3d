"""Points from outside: an optimiser of the user's, in a process of the user's."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.arguments import worded
from hippo_core.samplers.learning import Learning


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside(Learning):
    """No sampler: the study wants points whenever a slot would idle, and waits until somebody tells them."""

    word = "outside"
    outside = True
    recombines = True


@worded("samplers.outside")
def outside() -> Outside:
    """Points come from outside, from an optimiser of one's own: ``run.ask()`` and ``run.tell(ask, point)``."""
    return Outside()
