"""How far a search has come after how much training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class Improvement(NamedTuple):
    """A trial of full length that is better than all before it.

    Attributes:
        trained: How many steps had been trained by then, that nobody had trained before.
        alone: How many steps of trials there had been, each trained alone.
        loss: What the search sees.
        test: What it does not see.
    """

    trained: int
    alone: int
    loss: float
    test: float


@dataclass(slots=True)
class Progress:
    """What a search came to. A result is a trial of full length; before the first one, the loss is infinite.

    Attributes:
        trained: How many steps were trained, what had been trained before left out.
        alone: How many steps its trials had, each trained alone.
        trials: How many points there were.
        full: How many trials of full length.
        improvements: In their order.
    """

    trained: int = 0
    alone: int = 0
    trials: int = 0
    full: int = 0
    improvements: list[Improvement] = field(default_factory=list)

    def finished(self, loss: float, test: float) -> None:
        """A trial of full length is there."""
        self.full += 1
        if not self.improvements or loss < self.improvements[-1].loss:
            self.improvements.append(Improvement(self.trained, self.alone, loss, test))

    def loss_at(self, steps: float, *, alone: bool = False, test: bool = False) -> float:
        """The loss of the best trial once so many steps were trained; or so many, had each trial been trained alone."""
        best = math.inf
        for each in self.improvements:
            if (each.alone if alone else each.trained) > steps:
                break
            best = each.test if test else each.loss
        return best

    def steps_to(self, loss: float, *, alone: bool = False) -> float:
        """After how many steps there was a loss as low as this; infinite: there was none."""
        for each in self.improvements:
            if each.loss <= loss:
                return each.alone if alone else each.trained
        return math.inf

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, json: dict[str, Any]) -> Progress:
        found = cls(**json)
        found.improvements = [Improvement(*each) for each in found.improvements]
        return found


def median(values: Iterable[float]) -> float:
    """The median, also of infinite values."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    low, high = ordered[middle - 1 : middle + 1]
    return low if low == high else (low + high) / 2
