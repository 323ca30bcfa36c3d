"""Search plans and their nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core.sequence import Laws

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCreated:
    """A search plan was made; ``environment`` is empty until the first lease binds it.

    ``program`` is what is trained, where no study has been submitted that says it: one is about to be imported.
    """

    plan: int
    project: str
    program_key: str
    environment: str
    program: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanBound:
    """The plan's environment was settled by its first lease."""

    plan: int
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlanned:
    """A study's trials belong to this plan; ``bound`` from the first lease on."""

    study: int
    plan: int
    bound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCreated:
    """A node was added below ``parent``, or as a root."""

    node: int
    plan: int
    parent: int | None
    start: int
    laws: Laws


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsRecorded:
    """The metrics of a state; a non-finite value is None. Without an evaluation ``metrics`` is None."""

    fence: int
    node: int
    step: int
    metrics: Mapping[str, float | None] | None
    training: Mapping[str, float | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNotReproducible:
    """A step trained again gave other metrics; the first ones stand."""

    fence: int
    node: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailuresForgotten:
    """A node's failures no longer count: it made progress, or a user asked to try again."""

    node: int


PlanEvent = (
    PlanCreated
    | PlanBound
    | StudyPlanned
    | NodeCreated
    | MetricsRecorded
    | NodeNotReproducible
    | FailuresForgotten
)
