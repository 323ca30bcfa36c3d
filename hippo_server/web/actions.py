"""What people do by a button: each is a call that a command makes, too, with the same roles, answers and audit log.

An action without a question is a button on some page. One that takes fields, or that cannot be undone, has a page that
asks first. Either works without scripts: a form is sent, and the answer leads back with a word on what was done.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from hippo_core.engine.engine import Engine
from hippo_core.engine.lookup import find_study, find_trial
from hippo_core.errors import InvalidStudy
from hippo_server.web.addresses import segment, trial_number
from hippo_wire.v1 import admin_pb2, checkpoint_pb2, study_pb2

Form = Mapping[str, str]
_HOLDS, _HELD = "hyperparameter.", "held."

LARGEST_NUMBER = 2**63 - 1
LARGEST_SLOT = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What an action asks for.

    Attributes:
        name: In the form; errors of a field of that name are shown beside it.
        label: For people.
        hint: What it means, and what an empty one does.
        whole: Whether it is a whole number.
        required: Whether it may not be empty.
        value: What stands in it at first.
        error: How errors begin that name it; empty: its name.
    """

    name: str
    label: str
    hint: str = ""
    whole: bool = False
    required: bool = False
    value: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that a form does.

    Attributes:
        path: Where the form is sent.
        method: The call, as ``StudyService/PauseStudy``.
        make: Makes its message, of the path's parts and the form; the request id is added.
        title: What is done, as a button has it.
        done: What is told afterwards.
        back: Where it goes on.
        fields: What it asks for.
        further: What else it asks for, of the subject that the path names in a project.
        consequences: What comes of it; an action that tells has a page that asks first.
        grave: Whether it cannot be taken back.
    """

    path: str
    method: str
    make: Callable[[Mapping[str, Any], Form], Message]
    title: str
    done: str
    back: Callable[[Mapping[str, Any]], str]
    fields: tuple[Field, ...] = ()
    further: Callable[[Engine, str, Mapping[str, Any]], tuple[Field, ...]] = lambda engine, project, parts: ()
    consequences: str = ""
    grave: bool = False

    @property
    def word(self) -> str:
        """What tells it from others where a page says what was done."""
        return self.path.rpartition("/")[2] + ("-trial" if "{trial}" in self.path else "")


def whole(form: Form, name: str, most: int = LARGEST_NUMBER) -> int | None:
    """A whole number of a form; None: nothing was written.

    Raises:
        InvalidStudy: Something else was written, or it is too large.
    """
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        raise InvalidStudy(name, f"{text[:40]!r} is no whole number") from None
    if abs(number) > most:
        raise InvalidStudy(name, f"{text[:40]} is too large")
    return number


def _study(parts: Mapping[str, Any]) -> str:
    return f"/studies/{segment(parts['study'])}"


def _trial(parts: Mapping[str, Any]) -> str:
    return f"{_study(parts)}/trials/{parts['trial']}"


def _workers(parts: Mapping[str, Any]) -> str:
    return "/workers"


def _extend(parts: Mapping[str, Any], form: Form) -> Message:
    request = study_pb2.ExtendStudyRequest(
        name=parts["study"],
        max_trials=whole(form, "max_trials"),
        max_steps=whole(form, "max_steps"),
        priority=whole(form, "priority"),
    )
    if not request.ListFields()[1:]:
        raise InvalidStudy("max_trials", "nothing is to be changed", "Fill in one field at least.")
    return request


def _extend_trial(parts: Mapping[str, Any], form: Form) -> Message:
    return study_pb2.ExtendTrialRequest(
        name=parts["study"], trial=trial_number(parts), to=whole(form, "to") or 0
    )


def _fork(parts: Mapping[str, Any], form: Form) -> Message:
    return study_pb2.ForkTrialRequest(
        name=parts["study"],
        trial=trial_number(parts),
        at=whole(form, "at") or 0,
        hyperparameters_json=json.dumps(
            {
                name: _read_value(name, text)
                for field, text in form.items()
                if (name := field.removeprefix(_HOLDS)) != field
                and text.strip() != form.get(_HELD + name, "")
            }
        ),
    )


def _held(engine: Engine, project: str, parts: Mapping[str, Any]) -> tuple[Field, ...]:
    """A field for each hyper-parameter of a trial."""
    study = find_study(engine.state, project, parts["study"])
    held = study.hyperparameters(find_trial(study, trial_number(parts)))
    return tuple(
        Field(
            name=_HOLDS + name,
            label=name,
            value=_write_value(value),
            error=f"hyperparameters[{name!r}]",
        )
        for name, value in held.items()
    )


def _write_value(value: Any) -> str:
    """A value as it is to be written again: texts plain, where nothing else is written so."""
    is_plain = isinstance(value, str) and value == value.strip() != "" and _read_json(value) is None
    return str(value) if is_plain else json.dumps(value)


def _read_value(name: str, text: str) -> Any:
    """What was written for a hyper-parameter: JSON, or else a text, as the command takes it."""
    found = _read_json(text.strip())
    if found is None:
        return text.strip()
    try:
        json.dumps(found[0], allow_nan=False)
    except ValueError:
        raise InvalidStudy(f"hyperparameters[{name!r}]", "a number must be finite") from None
    return found[0]


def _read_json(text: str) -> tuple[Any] | None:
    try:
        return (json.loads(text),)
    except ValueError:
        return None


def _pin(parts: Mapping[str, Any], form: Form) -> Message:
    return checkpoint_pb2.PinCheckpointRequest(
        name=parts["study"], trial=trial_number(parts), step=whole(form, "step")
    )


def _unpin(parts: Mapping[str, Any], form: Form) -> Message:
    return checkpoint_pb2.UnpinCheckpointsRequest(
        name=parts["study"], trial=trial_number(parts), step=whole(form, "step")
    )


def _cordon(parts: Mapping[str, Any], form: Form) -> Message:
    return admin_pb2.CordonWorkerRequest(
        worker=parts["worker"], slot=whole(form, "slot", LARGEST_SLOT), reason=form.get("reason", "").strip()
    )


def _uncordon(parts: Mapping[str, Any], form: Form) -> Message:
    return admin_pb2.UncordonWorkerRequest(worker=parts["worker"], slot=whole(form, "slot", LARGEST_SLOT))


ACTIONS = (
    Action(
        path="/studies/{study}/pause",
        method="StudyService/PauseStudy",
        make=lambda parts, form: study_pb2.PauseStudyRequest(name=parts["study"]),
        title="Pause",
        done="Paused. What runs is saved first.",
        back=_study,
    ),
    Action(
        path="/studies/{study}/resume",
        method="StudyService/ResumeStudy",
        make=lambda parts, form: study_pb2.ResumeStudyRequest(name=parts["study"]),
        title="Resume",
        done="Taken up again.",
        back=_study,
    ),
    Action(
        path="/studies/{study}/stop",
        method="StudyService/StopStudy",
        make=lambda parts, form: study_pb2.StopStudyRequest(name=parts["study"]),
        title="Stop",
        done="Stopped. Its open trials have ended.",
        back=_study,
        consequences="The study ends, and its open trials with it. What was trained stays; a larger limit takes an "
        "ended study up again, but not the trials that were stopped.",
        grave=True,
    ),
    Action(
        path="/studies/{study}/extend",
        method="StudyService/ExtendStudy",
        make=_extend,
        title="Extend",
        done="Extended.",
        back=_study,
        fields=(
            Field(name="max_trials", label="Trials in all", hint="Empty: as it is.", whole=True),
            Field(
                name="max_steps",
                label="Steps that a trial may be trained",
                hint="Empty: as it is.",
                whole=True,
            ),
            Field(
                name="priority",
                label="Priority",
                hint="Higher ones are trained first. Empty: as it is.",
                whole=True,
            ),
        ),
        consequences="Limits are absolute, and only grow. A study that has ended is taken up again.",
    ),
    Action(
        path="/studies/{study}/retry",
        method="StudyService/RetryTrials",
        make=lambda parts, form: study_pb2.RetryTrialsRequest(name=parts["study"]),
        title="Retry failed trials",
        done="The failed trials are tried again.",
        back=_study,
    ),
    Action(
        path="/studies/{study}/trials/{trial}/stop",
        method="StudyService/StopTrial",
        make=lambda parts, form: study_pb2.StopTrialRequest(name=parts["study"], trial=trial_number(parts)),
        title="Stop",
        done="The trial is stopped.",
        back=_trial,
        consequences="The trial ends; what was trained of it stays, and other trials that share it go on.",
        grave=True,
    ),
    Action(
        path="/studies/{study}/trials/{trial}/extend",
        method="StudyService/ExtendTrial",
        make=_extend_trial,
        title="Extend",
        done="The trial is trained further.",
        back=_trial,
        fields=(Field(name="to", label="Up to step", whole=True, required=True),),
        consequences="The trial is trained up to that step, whatever the policy of its study wants.",
    ),
    Action(
        path="/studies/{study}/trials/{trial}/retry",
        method="StudyService/RetryTrials",
        make=lambda parts, form: study_pb2.RetryTrialsRequest(name=parts["study"], trial=trial_number(parts)),
        title="Retry",
        done="The trial is tried again.",
        back=_trial,
    ),
    Action(
        path="/studies/{study}/trials/{trial}/fork",
        method="StudyService/ForkTrial",
        make=_fork,
        title="Branch",
        done="The new trial goes as this one up to that step.",
        back=_study,
        fields=(
            Field(
                name="at", label="At step", hint="The first step that may differ.", whole=True, required=True
            ),
        ),
        further=_held,
        consequences="A new trial goes as this one up to a step, which is not trained again. From there on it has what "
        "you change below: a number, a text, or a schedule as JSON, which counts from that step. What you leave as it "
        "is goes on as in this trial.",
    ),
    Action(
        path="/studies/{study}/trials/{trial}/pin",
        method="CheckpointService/PinCheckpoint",
        make=_pin,
        title="Pin",
        done="Pinned: the checkpoint stays, whatever the budgets.",
        back=_trial,
    ),
    Action(
        path="/studies/{study}/trials/{trial}/unpin",
        method="CheckpointService/UnpinCheckpoints",
        make=_unpin,
        title="Unpin",
        done="Unpinned: the checkpoint may go when it is needed no more.",
        back=_trial,
    ),
    Action(
        path="/workers/{worker}/drain",
        method="AdminService/DrainWorker",
        make=lambda parts, form: admin_pb2.DrainWorkerRequest(worker=parts["worker"]),
        title="Drain",
        done="The worker saves what it trains, gives it back and leaves.",
        back=_workers,
        consequences="The worker saves what it trains, gives it back and ends. Whoever started it starts it again.",
        grave=True,
    ),
    Action(
        path="/workers/{worker}/cordon",
        method="AdminService/CordonWorker",
        make=_cordon,
        title="Cordon",
        done="Cordoned: nothing more is granted there.",
        back=_workers,
        fields=(
            Field(name="slot", label="Slot", hint="Empty: all of the worker's.", whole=True),
            Field(name="reason", label="Reason", hint="For those who look at the workers."),
        ),
        consequences="Nothing more is granted there; what trains goes on to its end.",
    ),
    Action(
        path="/workers/{worker}/uncordon",
        method="AdminService/UncordonWorker",
        make=_uncordon,
        title="Uncordon",
        done="Used again.",
        back=_workers,
    ),
    Action(
        path="/tokens/{name}/revoke",
        method="AdminService/RevokeToken",
        make=lambda parts, form: admin_pb2.RevokeTokenRequest(name=parts["name"]),
        title="Revoke",
        done="Revoked.",
        back=lambda parts: "/tokens",
        consequences="Calls and streams with the token are refused within seconds, and browsers that it logged in "
        "are logged out. It cannot be made valid again.",
        grave=True,
    ),
)

DONE: Mapping[str, str] = {action.word: action.done for action in ACTIONS}
"""What is told after an action, by its word."""


def new_request_id() -> str:
    """The id of a form, which is answered once however often it is sent."""
    return secrets.token_hex(16)
