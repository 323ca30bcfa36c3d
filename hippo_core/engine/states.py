"""The states of studies, trials, requests, leases and workers, and which follow which.

The tables in the documentation are made of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class StudyState(StrEnum):
    """The life of a study."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    COMPLETED = "completed"
    FAILED = "failed"


class TrialState(StrEnum):
    """The life of a trial. ``WAITING`` is stored for every open trial; whether its next stage runs is derived."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    FAILED = "failed"


class RequestState(StrEnum):
    """The life of a request."""

    OPEN = "open"
    REACHED = "reached"
    DIVERGED = "diverged"
    INFEASIBLE = "infeasible"  #: failed, since what it asks for does not fit into memory
    FAILED = "failed"
    CANCELLED = "cancelled"


class NodeState(StrEnum):
    """How far the training of a node is, as far as a study asks for it.

    ``GRANTED``: a slot that trains before it on its path comes to it. ``READY``: what it begins at is there, and it
    may be granted. ``WAITING``: it may not.
    """

    TRAINED = "trained"
    RUNNING = "running"
    GRANTED = "granted"
    READY = "ready"
    WAITING = "waiting"


class LeaseState(StrEnum):
    """The life of a lease.

    ``SAVING``: all steps are trained, the slot is free, checkpoints are on their way. ``ORPHANED``: its worker is not
    heard of; it goes on if the worker returns before another slot takes its work.
    """

    TRAINING = "training"
    SAVING = "saving"
    ORPHANED = "orphaned"
    COMPLETED = "completed"
    RELEASED = "released"
    FAILED = "failed"
    EXPIRED = "expired"
    REVOKED = "revoked"


class WorkerState(StrEnum):
    """The life of a worker."""

    LIVE = "live"
    DRAINING = "draining"
    LOST = "lost"
    GONE = "gone"


class FailureClass(StrEnum):
    """Whose fault a failed path is. ``INVALID`` is the user's and no retry can help."""

    INFRASTRUCTURE = "infrastructure"
    USER = "user"
    INVALID = "invalid"
    PROGRAM = "program"  #: invalid whatever the values: the trainer cannot be loaded
    MEMORY = "memory"
    STORAGE = "storage"  #: nowhere to save a state: no space is left
    STALLED = "stalled"  #: no step for longer than any takes


STUDY_TRANSITIONS: Mapping[StudyState, frozenset[StudyState]] = {
    StudyState.RUNNING: frozenset(
        {StudyState.PAUSED, StudyState.STOPPED, StudyState.COMPLETED, StudyState.FAILED}
    ),
    StudyState.PAUSED: frozenset({StudyState.RUNNING, StudyState.STOPPED, StudyState.FAILED}),
    StudyState.STOPPED: frozenset({StudyState.RUNNING}),
    StudyState.COMPLETED: frozenset({StudyState.RUNNING}),
    StudyState.FAILED: frozenset({StudyState.RUNNING}),
}

TRIAL_TRANSITIONS: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.WAITING: frozenset(
        {
            TrialState.PAUSED,
            TrialState.COMPLETED,
            TrialState.STOPPED,
            TrialState.DIVERGED,
            TrialState.FAILED,
        }
    ),
    TrialState.PAUSED: frozenset({TrialState.WAITING, TrialState.COMPLETED, TrialState.STOPPED}),
    TrialState.COMPLETED: frozenset({TrialState.WAITING, TrialState.PAUSED}),
    TrialState.STOPPED: frozenset({TrialState.WAITING, TrialState.COMPLETED, TrialState.PAUSED}),
    TrialState.DIVERGED: frozenset(),
    TrialState.FAILED: frozenset({TrialState.WAITING}),
}

LEASE_TRANSITIONS: Mapping[LeaseState, frozenset[LeaseState]] = {
    LeaseState.TRAINING: frozenset(
        {
            LeaseState.SAVING,
            LeaseState.COMPLETED,
            LeaseState.RELEASED,
            LeaseState.FAILED,
            LeaseState.ORPHANED,
            LeaseState.REVOKED,
        }
    ),
    LeaseState.SAVING: frozenset(
        {
            LeaseState.COMPLETED,
            LeaseState.RELEASED,
            LeaseState.FAILED,
            LeaseState.ORPHANED,
            LeaseState.REVOKED,
        }
    ),
    LeaseState.ORPHANED: frozenset(
        {
            LeaseState.TRAINING,
            LeaseState.SAVING,
            LeaseState.RELEASED,
            LeaseState.EXPIRED,
            LeaseState.REVOKED,
        }
    ),
    LeaseState.COMPLETED: frozenset(),
    LeaseState.RELEASED: frozenset(),
    LeaseState.FAILED: frozenset(),
    LeaseState.EXPIRED: frozenset(),
    LeaseState.REVOKED: frozenset(),
}

LIVE_LEASE_STATES = frozenset({LeaseState.TRAINING, LeaseState.SAVING})
#: Those that may have reports still to come.
STANDING_LEASE_STATES = LIVE_LEASE_STATES | {LeaseState.ORPHANED}
ENDED_STUDY_STATES = frozenset({StudyState.STOPPED, StudyState.COMPLETED, StudyState.FAILED})
ENDED_TRIAL_STATES = frozenset(
    {TrialState.COMPLETED, TrialState.STOPPED, TrialState.DIVERGED, TrialState.FAILED}
)

#: What a study waits for, in words, while nothing can train.
NO_WORKER = "no worker is there"
