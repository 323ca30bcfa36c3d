"""Studies: what was asked of them, and how they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core.engine.states import (
    StudyState,
)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySubmitted:
    """A study was created; its program is part of the specification."""

    study: int
    project: str
    user: str
    name: str
    program_key: str
    spec: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyChanged:
    """A study was extended or edited: ``spec`` is the whole new specification.

    ``differences`` are lines for people, as ``StudySpec.differences`` gives them.
    """

    study: int
    spec: Json
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStateChanged:
    """A study went into another state."""

    study: int
    state: StudyState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRan:
    """So many more seconds of a running study have passed; written now and then, and when it ceases to run."""

    study: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingHeld:
    """An ending of a study holds: its policy and its sampler are asked no more. ``ending`` is its word."""

    study: int
    ending: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingLifted:
    """The ending that held was changed: the study is taken up again."""

    study: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementWanted:
    """A study's terminator is to judge. What it may see is told as for ``ProposalWanted``.

    ``trials`` is how many had completed by then, ``failures`` how often in a row it has failed before.
    """

    study: int
    terminator: Json
    sequence: int
    pending: tuple[int, ...]
    max_steps: int | None
    trials: int
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementGiven:
    """A terminator has judged: whether the study ends, and why."""

    study: int
    ends: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementFailed:
    """A terminator could not judge; ``failures`` is how often in a row."""

    study: int
    failures: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDeleted:
    """A study was forgotten, with its trials and requests."""

    study: int


StudyEvent = (
    StudySubmitted
    | StudyChanged
    | StudyStateChanged
    | StudyRan
    | EndingHeld
    | EndingLifted
    | JudgementWanted
    | JudgementGiven
    | JudgementFailed
    | StudyDeleted
)
