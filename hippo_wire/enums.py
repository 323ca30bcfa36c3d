"""The wire's enumerations and the core's states. Light: clients import it at once."""

from __future__ import annotations

from typing import TypeVar

from hippo_core.engine.states import FailureClass, StudyState, TrialState, WorkerState
from hippo_core.errors import InvalidStudy
from hippo_wire.v1 import admin_pb2, study_pb2, worker_pb2

Known = TypeVar("Known")

STUDY_STATES = {
    StudyState.RUNNING: study_pb2.STUDY_STATE_RUNNING,
    StudyState.PAUSED: study_pb2.STUDY_STATE_PAUSED,
    StudyState.STOPPED: study_pb2.STUDY_STATE_STOPPED,
    StudyState.COMPLETED: study_pb2.STUDY_STATE_COMPLETED,
    StudyState.FAILED: study_pb2.STUDY_STATE_FAILED,
}
TRIAL_STATES = {
    TrialState.WAITING: study_pb2.TRIAL_STATE_WAITING,
    TrialState.RUNNING: study_pb2.TRIAL_STATE_RUNNING,
    TrialState.PAUSED: study_pb2.TRIAL_STATE_PAUSED,
    TrialState.COMPLETED: study_pb2.TRIAL_STATE_COMPLETED,
    TrialState.STOPPED: study_pb2.TRIAL_STATE_STOPPED,
    TrialState.DIVERGED: study_pb2.TRIAL_STATE_DIVERGED,
    TrialState.FAILED: study_pb2.TRIAL_STATE_FAILED,
}
WORKER_STATES = {
    WorkerState.LIVE: admin_pb2.WORKER_STATE_LIVE,
    WorkerState.DRAINING: admin_pb2.WORKER_STATE_DRAINING,
    WorkerState.LOST: admin_pb2.WORKER_STATE_LOST,
    WorkerState.GONE: admin_pb2.WORKER_STATE_GONE,
}
FAILURE_CLASSES = {
    FailureClass.INFRASTRUCTURE: worker_pb2.FAILURE_CLASS_INFRASTRUCTURE,
    FailureClass.USER: worker_pb2.FAILURE_CLASS_USER,
    FailureClass.INVALID: worker_pb2.FAILURE_CLASS_INVALID,
    FailureClass.MEMORY: worker_pb2.FAILURE_CLASS_MEMORY,
    FailureClass.STORAGE: worker_pb2.FAILURE_CLASS_STORAGE,
    FailureClass.PROGRAM: worker_pb2.FAILURE_CLASS_PROGRAM,
    FailureClass.STALLED: worker_pb2.FAILURE_CLASS_STALLED,
}
DEVICE_KINDS = {"cpu": worker_pb2.DEVICE_KIND_CPU, "cuda": worker_pb2.DEVICE_KIND_CUDA}
OUTCOMES = {
    "created": study_pb2.SUBMIT_OUTCOME_CREATED,
    "unchanged": study_pb2.SUBMIT_OUTCOME_UNCHANGED,
    "extended": study_pb2.SUBMIT_OUTCOME_EXTENDED,
}

_STUDY_STATES: dict[int, StudyState] = {number: state for state, number in STUDY_STATES.items()}
_TRIAL_STATES: dict[int, TrialState] = {number: state for state, number in TRIAL_STATES.items()}
_WORKER_STATES: dict[int, WorkerState] = {number: state for state, number in WORKER_STATES.items()}
_FAILURE_CLASSES: dict[int, FailureClass] = {number: failure for failure, number in FAILURE_CLASSES.items()}
_DEVICE_KINDS: dict[int, str] = {number: device for device, number in DEVICE_KINDS.items()}
_OUTCOMES: dict[int, str] = {number: outcome for outcome, number in OUTCOMES.items()}


def study_state(number: int) -> StudyState:
    """The state of a study, from the wire."""
    return _known(_STUDY_STATES, number, "state")


def trial_state(number: int) -> TrialState:
    """The state of a trial, from the wire."""
    return _known(_TRIAL_STATES, number, "state")


def worker_state(number: int) -> WorkerState:
    """The state of a worker, from the wire."""
    return _known(_WORKER_STATES, number, "state")


def failure_class(number: int) -> FailureClass:
    """Whose fault a failure is, from the wire."""
    return _known(_FAILURE_CLASSES, number, "failure")


def device_kind(number: int) -> str:
    """What a slot trains on, from the wire: "cpu" or "cuda"."""
    return _known(_DEVICE_KINDS, number, "device")


def outcome(number: int) -> str:
    """What a submission came to, from the wire."""
    return _known(_OUTCOMES, number, "outcome")


def _known(table: dict[int, Known], number: int, field: str) -> Known:
    try:
        return table[number]
    except KeyError:
        raise InvalidStudy(
            field, f"{number} is not known here", "Install the same version on both sides."
        ) from None
