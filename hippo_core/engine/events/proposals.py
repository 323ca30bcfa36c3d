"""What samplers and policies of other processes were asked, and said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalWanted:
    """A sampler that learns is to propose the point of a trial, and may see so much. Again: it is to be tried anew.

    It may see the requests of the study that were closed up to ``sequence``, and that ``pending`` trials had open ones
    then; ``max_steps`` is how far trials were to be trained then, None where their schedules say it.
    """

    study: int
    trial: int
    sequence: int
    pending: tuple[int, ...]
    max_steps: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalFailed:
    """A sampler could not propose a point; ``failures`` is how often, for this trial."""

    study: int
    trial: int
    failures: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceExhausted:
    """All ``points`` of the study's space are trials, and none is to be proposed; 0: there are others."""

    study: int
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAnswered:
    """A user's own policy has decided; what follows from it comes with this.

    It had given ``number`` answers before, was told of the first ``mark`` calls of the study's history, of which there
    are no two versions, and that the study has ``max_trials`` in all. ``finish``: nothing was open or to come.
    """

    study: int
    number: int
    mark: int
    max_trials: int
    finish: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFailed:
    """A user's own policy could not give its answer ``number``; ``failures`` is how often."""

    study: int
    number: int
    failures: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyForgiven:
    """A user wants a policy asked again, whose failures to give its answer ``number`` count no more."""

    study: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsWanted:
    """A study began, or ceased, to want points from outside."""

    study: int
    wanted: bool


ProposalEvent = (
    ProposalWanted
    | ProposalFailed
    | SpaceExhausted
    | PolicyAnswered
    | PolicyFailed
    | PolicyForgiven
    | PointsWanted
)
