"""What a step takes on a slot: what was measured of its node, or else the mean of all that was measured in its tree."""

from __future__ import annotations

from hippo_core.plan import Node

UNMEASURED_STEP_SECONDS = 1.0
REWEIGH_RATIO = 1.25


class StepCosts:
    """What steps of a plan's nodes take.

    Attributes:
        seconds: Slot seconds of all training that was measured.
        steps: Of so many steps.
    """

    __slots__ = ("_weight", "seconds", "steps")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.steps = 0
        self._weight = 0.0

    @property
    def unit(self) -> float:
        """What lengths of paths are multiples of, in seconds: the mean, but for small moves of it."""
        return self._weight or UNMEASURED_STEP_SECONDS

    def measure(self, seconds: float, steps: int) -> bool:
        """Training took so long; tells whether the unit is another now, and single nodes are to be weighed anew."""
        self.seconds += seconds
        self.steps += steps
        mean = self.mean()
        if self._weight / REWEIGH_RATIO <= mean <= self._weight * REWEIGH_RATIO:
            return False
        self._weight = mean
        return True

    def mean(self) -> float:
        """Measured slot seconds of one step, or a constant while nothing is measured."""
        return self.seconds / self.steps if self.steps and self.seconds > 0 else UNMEASURED_STEP_SECONDS

    def seconds_of(self, node: Node) -> float:
        """Estimated slot seconds of one step of a node."""
        if node.steps and node.seconds > 0:
            return node.seconds / node.steps
        return self.unit

    def units_of(self, node: Node) -> float:
        """The same, in units."""
        if node.steps and node.seconds > 0:
            return node.seconds / node.steps / self.unit
        return 1.0
