"""Every point of a finite space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.samplers.sampler import Sampler
from hippo_core.space import Space
from hippo_core.values import Scalar

LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Grid(Sampler):
    """Every point of a finite space, in order: by name, the last name's values change fastest."""

    enumerates: ClassVar[bool] = True

    def point(self, space: Space, seed: int, number: int) -> Mapping[str, Scalar]:
        """Point ``number`` of the grid."""
        found = space.assignment(number)
        if found is None:
            raise InvalidStudy("max_trials", f"the grid has no point number {number}")
        return found

    def count(self, space: Space) -> int | None:
        """The number of points, None where they are more than anyone trains.

        Raises:
            InvalidStudy: The space is not finite, or constraints leave none.
        """
        _require_finite(space)
        if not space.constraints and space.fewest()[0] > LARGEST:
            return None
        count = space.count(LARGEST + 1)
        if not count:
            raise InvalidStudy("space", "no point of the grid satisfies the constraints", "Loosen them.")
        return count if count <= LARGEST else None

    def check(self, space: Space, trials: int) -> None:
        """Checks that the grid has so many points.

        Raises:
            InvalidStudy: It has fewer, or the space is not finite.
        """
        _require_finite(space)
        if space.assignment(trials - 1) is None:
            count = self.count(space)
            raise InvalidStudy(
                "max_trials",
                f"the grid has {count} points, which is less than {trials}",
                f"Use max_trials={count} or fewer, or samplers.random().",
            )

    def to_json(self) -> dict[str, Any]:
        """``{"sampler": "grid"}``."""
        return {"sampler": "grid"}


def _require_finite(space: Space) -> None:
    domain = space.unlistable()
    if domain is not None:
        raise InvalidStudy(
            "sampler",
            f"a grid needs a finite space, but {domain.name!r} is continuous",
            f"List values for {domain.name!r} with space.choice([...]), or use samplers.random().",
        )


@worded("samplers.grid")
def grid() -> Grid:
    """Every point of a finite space, all submitted at once."""
    return Grid()
