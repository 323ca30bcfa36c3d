"""Objectives: what a study optimises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hippo_core.errors import InvalidStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is optimised.

    Attributes:
        metric: A name that the trainer's ``evaluate`` reports.
        maximize: Whether the larger value is the better one.
    """

    metric: str
    maximize: bool

    def __post_init__(self) -> None:
        """Checks the name."""
        if not isinstance(self.metric, str) or not self.metric or not self.metric.isprintable():
            raise InvalidStudy("objective", f"must be a metric's name, not {self.metric!r}")

    def to_json(self) -> dict[str, Any]:
        """The objective as a JSON object."""
        return {"metric": self.metric, "maximize": self.maximize}
