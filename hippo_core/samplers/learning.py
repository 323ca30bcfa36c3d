"""What samplers that learn have in common.

Their points cannot be listed beforehand: each is proposed when a slot would idle, outside the engine, as a function of
the space, the trials so far, the study's seed and the trial's number. Here such a sampler is only a name with its
arguments; ``hippo_core.proposing`` has the algorithms that are Hippo's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.errors import InvalidStudy
from hippo_core.samplers.random import Random
from hippo_core.samplers.sampler import Sampler
from hippo_core.space import Space
from hippo_core.values import Scalar

#: What other systems call the arguments that several of these samplers have.
PEERS = {
    "seed": "seed, which is the study's",
    "n_startup_trials": "startup_trials",
    "n_initial_points": "startup_trials",
    "num_initial_random": "startup_trials",
    "population_size": "population",
    "popsize": "population",
    "constant_liar": "no argument for it: what is pending is always known",
    "constraints_func": 'constraints, which are the study\'s: Study(constraints=["latency_ms <= 10"])',
}


class Learning(Sampler):
    """A sampler whose points depend on what came of earlier ones. Its fields are its arguments.

    Attributes:
        word: Its name in ``hippo_core.samplers``.
    """

    word: ClassVar[str]
    learns = True

    def point(self, space: Space, seed: int, number: int) -> Mapping[str, Scalar]:
        """A random stand-in for a point that nobody knows yet: to check a study and to plan with."""
        return Random().point(space, seed, number)

    def count(self, space: Space) -> int | None:
        """As many as wanted."""
        return None

    def check(self, space: Space, trials: int) -> None:
        """There are as many as wanted."""

    def to_json(self) -> dict[str, Any]:
        """The sampler and its arguments."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]
        return {"sampler": self.word, **given}


def flag(value: Any, where: str) -> bool:
    """A bool.

    Raises:
        InvalidStudy: It is not one.
    """
    if not isinstance(value, bool):
        raise InvalidStudy(where, f"must be True or False, not {value!r}")
    return value


def probability(value: Any, where: str) -> float:
    """A number from 0 to 1.

    Raises:
        InvalidStudy: It is not one.
    """
    found = arguments.number(value, where)
    if not 0.0 <= found <= 1.0:
        raise InvalidStudy(where, f"must be from 0 to 1, not {found}")
    return found
