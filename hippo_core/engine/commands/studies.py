"""What people ask of a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hippo_core.endings import Ending
    from hippo_core.study import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitStudy:
    """Create the study, find the equal one, or extend it."""

    project: str
    user: str
    spec: StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseStudy:
    """Grant no further leases; what runs for nobody else is saved and released."""

    project: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeStudy:
    """Take a paused study up again."""

    project: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopStudy:
    """End the study; its open trials end as stopped."""

    project: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendStudy:
    """Raise or change what is given; all are absolute."""

    project: str
    name: str
    max_trials: int | None = None
    max_steps: int | None = None
    priority: int | None = None
    endings: tuple[Ending, ...] = ()  #: each in place of the one of its kind
    horizons: tuple[int, ...] = ()  #: in all; those that are there already need not be among them


@dataclass(frozen=True, slots=True, kw_only=True)
class EditStudy:
    """Change what trials are drawn from, the policy, or how the study is carried out; what is trained stays.

    Attributes:
        project: The project.
        name: The study.
        spec: The whole study as it is to be.
        changes: How often it had been changed when that was written; None: however often.
    """

    project: str
    name: str
    spec: StudySpec
    changes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTrials:
    """Open one failed trial again, or all of them."""

    project: str
    name: str
    trial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteStudy:
    """Forget a study that has ended or is paused; what was trained stays for others."""

    project: str
    name: str


StudyCommand = (
    SubmitStudy | PauseStudy | ResumeStudy | StopStudy | ExtendStudy | EditStudy | RetryTrials | DeleteStudy
)
