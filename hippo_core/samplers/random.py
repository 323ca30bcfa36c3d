"""Independent random points."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core.arguments import worded
from hippo_core.program import canonical_json
from hippo_core.samplers.sampler import Sampler
from hippo_core.space import Space
from hippo_core.values import Scalar


@dataclass(frozen=True, slots=True)
class Random(Sampler):
    """Independent random points, each domain by itself.

    A draw is a function of the study's seed, the trial's number and the domain's name, through SHA-256: it
    depends neither on other domains nor on a library's generator, and any trial's point can be computed
    alone.
    """

    def point(self, space: Space, seed: int, number: int) -> Mapping[str, Scalar]:
        """The point of trial ``number``."""
        return space.draw(lambda name: _uniform(seed, number, name))

    def count(self, space: Space) -> int | None:
        """As many as wanted."""
        return None

    def check(self, space: Space, trials: int) -> None:
        """There are as many as wanted."""

    def to_json(self) -> dict[str, Any]:
        """``{"sampler": "random"}``."""
        return {"sampler": "random"}


def _uniform(seed: int, number: int, name: str) -> float:
    digest = hashlib.sha256(canonical_json([seed, number, name]).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


@worded("samplers.random", {"seed": "seed, which is the study's"})
def random() -> Random:
    """Independent random points; the study's seed decides them."""
    return Random()
