"""What samplers, policies and terminators answer that work in other processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hippo_core.own_policy import Decided

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTrials:
    """Create the next trials whose points are known: wanted in just these words. Else it changes nothing.

    Attributes:
        study: The study's number.
        drawn: How many points of it there were when this was wanted.
    """

    study: int
    drawn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeTrial:
    """Create the trial whose point was wanted. One that is not wanted, or no more, changes nothing.

    Attributes:
        study: The study's number.
        trial: The trial's.
        sequence: The mark of the history that its sampler saw.
        assignment: A value for each domain drawn.
        notes: What the sampler wants to find again with the trial.
        spaces: How often what trials are drawn from had been edited.
    """

    study: int
    trial: int
    sequence: int
    assignment: Json
    notes: Json = field(default_factory=dict)
    spaces: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailProposal:
    """A point that was wanted does not come, for this reason in words; the rest is as for ``ProposeTrial``."""

    study: int
    trial: int
    sequence: int
    reason: str
    spaces: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExhaustSpace:
    """No point is left that is no trial yet, of so many ``points``; the rest is as for ``ProposeTrial``."""

    study: int
    trial: int
    sequence: int
    points: int
    spaces: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPolicy:
    """Carry out what a user's own policy has decided. An answer that is not waited for changes nothing.

    Attributes:
        study: The study's number.
        number: How many answers it had given before.
        mark: Of how many calls of the study's history it was told.
        max_trials: How many trials it was told that there will be.
        finish: Whether it was told that nothing is open or to come.
        verdicts: What it decided.
    """

    study: int
    number: int
    mark: int
    max_trials: int
    finish: bool
    verdicts: tuple[Decided, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailPolicy:
    """Count a failure of a user's own policy to answer, if the answer is still waited for."""

    study: int
    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveJudgement:
    """What a terminator says that was asked. An answer to what is not asked, or no more, changes nothing.

    Attributes:
        study: The study's number.
        sequence: The mark of the history that it saw.
        gain: What could still be gained, as it estimates.
        threshold: The least gain that is worth going on.
    """

    study: int
    sequence: int
    gain: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FailJudgement:
    """A terminator that was asked has no answer, for this reason in words."""

    study: int
    sequence: int
    reason: str


AnswerCommand = (
    CreateTrials
    | ProposeTrial
    | FailProposal
    | ExhaustSpace
    | AnswerPolicy
    | FailPolicy
    | GiveJudgement
    | FailJudgement
)
