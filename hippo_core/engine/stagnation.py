"""How long the best value of a study has not improved, in trials: what a plateau is."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Stagnation:
    """The fold of the ends of requests, in their order.

    A trial counts once, however often it goes on and comes to rest again.

    Attributes:
        maximize: Whether the larger value is the better one.
        min_change: By how much more than this a value must be better to be an improvement.
        best: The best value; None: there is none yet.
        trial: The trial that has it.
        step: The step at which it was evaluated.
        since: The trials that came to rest since, without an improvement.
    """

    maximize: bool
    min_change: float
    best: float | None = None
    trial: int = 0
    step: int = 0
    since: dict[int, None] = field(default_factory=dict)

    def tell(self, trial: int, step: int, value: float | None) -> None:
        """A request of a trial came to its end.

        Args:
            trial: The trial.
            step: That of its last evaluation.
            value: The objective there; None: there is none.
        """
        sign = 1.0 if self.maximize else -1.0
        if value is not None and (self.best is None or sign * (value - self.best) > self.min_change):
            self.best, self.trial, self.step = value, trial, step
            self.since.clear()
        elif self.best is not None:
            self.since[trial] = None

    def trials(self, still_on: Container[int]) -> int:
        """How many trials have come to rest since the best value improved.

        Args:
            still_on: Trials that go on, or are to: they do not count.
        """
        return sum(trial not in still_on for trial in self.since)
