"""Trials, and what they wait for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.engine.states import (
    RequestState,
    TrialState,
)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCreated:
    """A trial was proposed; ``assignment`` holds a value for each domain drawn.

    ``notes`` is what a sampler that learns wants to find again with the trial, or the "ask" that its point answers.
    ``fork`` of a fork has its parent as "trial", the step that it forks "at", and its "hyperparameters". Of one that a
    user made nothing is drawn. One that its policy made has the draws in force from that step on, and in ``fork`` the
    trial that it takes the place of, as "instead_of", and the "reason". The point of one that was ``enqueued`` is a
    user's, not the sampler's. A probe, as its number says it is one, has a ``fork``, too: with the "factors" by which
    values are multiplied, by name, and the "reason".
    """

    study: int
    trial: int
    assignment: Json
    max_steps: int
    notes: Json = field(default_factory=dict)
    fork: Json | None = None
    enqueued: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLimited:
    """A trial may be trained further than before, or is to be tried again after it had failed."""

    study: int
    trial: int
    max_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStopped:
    """A user took a trial from its policy, which decides on it no more, and stops it or trains it further.

    Unless it is trained further, no extension of its study takes it up again.
    """

    study: int
    trial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialWanted:
    """A user wants a trial trained up to a step, whenever its policy wants nothing of it; 0: no more."""

    study: int
    trial: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStateChanged:
    """A trial went into another state."""

    study: int
    trial: int
    state: TrialState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOpened:
    """A trial needs its path's state at ``step``, which ``node`` trains. Opened again: it moved to another plan.

    The trial's policy hears nothing of one that is a user's word, nor of what it comes to. ``reason``
    and how much of the path was ``trained`` by then are for people, and kept in the journal only.
    """

    study: int
    trial: int
    step: int
    node: int
    by_user: bool = False
    reason: str = ""
    trained: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestClosed:
    """A request came to its end. ``sequence`` grows by one with each, over all studies: the order of arrival.

    ``reached`` is the trial's step then: ``step`` where it was reached, the diverged state's step, else what was
    committed of its path. ``value`` is the first objective at ``reached``; None where there is none or it is not
    finite.
    """

    sequence: int
    study: int
    trial: int
    step: int
    state: RequestState
    reached: int
    value: float | None


TrialEvent = (
    TrialCreated
    | TrialLimited
    | TrialStopped
    | TrialWanted
    | TrialStateChanged
    | RequestOpened
    | RequestClosed
)
