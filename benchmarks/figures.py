"""What a benchmark gives: figures, measured several times, curves, and drawings."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, measured several times in one run.

    Attributes:
        name: Unique within its subject; two runs are compared by it.
        values: One a round, in ``unit``; at least one.
        unit: ``"x bare loop"``, ``"s"``, ``"trials/s"``.
        aim: Of the median, where one was set: at most so much, or at least where ``more_is_better``.
        more_is_better: Whether the figure is a rate, and not a cost.
        note: What else a reader must know to judge it; one sentence.
    """

    name: str
    values: tuple[float, ...]
    unit: str
    aim: float | None = None
    more_is_better: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"the figure {self.name!r} has no values: give one for each round")

    @property
    def median(self) -> float:
        """The figure itself."""
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        """The lowest of all rounds."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The highest of all rounds."""
        return max(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median is what was aimed at; ``None`` without an aim."""
        if self.aim is None:
            return None
        return self.median >= self.aim if self.more_is_better else self.median <= self.aim


@dataclass(frozen=True, slots=True)
class Curve:
    """How something grows: lines over one axis.

    Attributes:
        name: Unique within its subject.
        across: The horizontal axis, with its unit.
        up: The vertical axis, with its unit.
        lines: For each label its points, (across, up), from left to right.
        logarithmic: Whether both axes are logarithmic.
        note: One sentence below it.
    """

    name: str
    across: str
    up: str
    lines: dict[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    logarithmic: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is seen rather than counted, as the chart of a run.

    Attributes:
        name: Unique within its subject.
        svg: The picture.
        note: One sentence below it.
    """

    name: str
    svg: str
    note: str = ""


Found = Figure | Curve | Drawing
"""What a subject gives."""
