"""Independent random points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core.arguments import worded
from hippo_core.chance import uniform
from hippo_core.errors import InvalidStudy
from hippo_core.samplers.sampler import Sampler
from hippo_core.space import Space
from hippo_core.values import Scalar

TRIES = 1000


@dataclass(frozen=True, slots=True)
class Random(Sampler):
    """Independent random points, each domain by itself.

    A draw is a function of the study's seed, the trial's number and the domain's name, through SHA-256: it
    depends neither on other domains nor on a library's generator, and any trial's point can be computed
    alone.
    """

    def point(self, space: Space, seed: int, number: int) -> Mapping[str, Scalar]:
        """The point of trial ``number``: the first of its tries that satisfies the constraints."""
        for attempt in range(TRIES):
            words = (seed, number, attempt) if attempt else (seed, number)
            found = space.draw(lambda name, words=words: uniform(*words, name))  # type: ignore[misc]
            if space.satisfied(found):
                return found
        raise InvalidStudy(
            "space",
            f"{TRIES} tries for trial {number} do not satisfy the constraints",
            "Draw closer to them.",
        )

    def count(self, space: Space) -> int | None:
        """As many as wanted."""
        return None

    def check(self, space: Space, trials: int) -> None:
        """There are as many as wanted."""

    def to_json(self) -> dict[str, Any]:
        """``{"sampler": "random"}``."""
        return {"sampler": "random"}


@worded("samplers.random", {"seed": "seed, which is the study's"})
def random() -> Random:
    """Independent random points; the study's seed decides them."""
    return Random()
