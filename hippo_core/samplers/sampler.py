"""What a sampler is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from hippo_core.space import Space
from hippo_core.values import Scalar


class Sampler(ABC):
    """Proposes the points of a study. A small value: the same proposals for the same space and seed, for ever.

    Attributes:
        enumerates: Whether its points are all those of a finite space, each once.
        learns: Whether a point depends on what came of earlier ones (``hippo_core.samplers.learning``).
        outside: Whether its points are made outside, by whoever asks for them (``hippo_core.samplers.outside``).
        several_objectives: Whether it can work for more than one objective.
        constrained: Whether it can work where constraints on metrics say what is feasible.
        sees_stopped: Whether it makes use of trials that were not trained to their end.
        needs_rungs: Whether it does so only where they were compared at the same steps.
        brought: Whether it is that of the policy of its name, and of no other.
        repeats: Whether it proposes a point again, to have it trained further.
        recombines: Whether a point may take some of its draws over from earlier ones.
    """

    enumerates: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    outside: ClassVar[bool] = False
    several_objectives: ClassVar[bool] = True
    constrained: ClassVar[bool] = True
    sees_stopped: ClassVar[bool] = True
    needs_rungs: ClassVar[bool] = False
    brought: ClassVar[bool] = False
    repeats: ClassVar[bool] = False
    recombines: ClassVar[bool] = False

    @abstractmethod
    def point(self, space: Space, seed: int, number: int) -> Mapping[str, Scalar]:
        """The assignment of trial ``number``, from 0: a pure function of the arguments."""

    @abstractmethod
    def count(self, space: Space) -> int | None:
        """How many points there are; None: as many as wanted.

        Raises:
            InvalidStudy: The sampler cannot work on such a space.
        """

    @abstractmethod
    def check(self, space: Space, trials: int) -> None:
        """Checks that there are so many points.

        Raises:
            InvalidStudy: There are fewer, or the sampler cannot work on such a space.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The sampler as ``{"sampler": name, ...}``."""
