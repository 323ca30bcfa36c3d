"""What the server and its children tell each other: one JSON object a line.

Of what a trial came to, only the margin of a constraint may be infinite, which is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from hippo_core.endings import Terminator
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.engine.terminators import JudgementTask
from hippo_core.proposing import Exhausted, Point
from hippo_core.study import StudySpec

Message = Mapping[str, Any]


def encode(message: Message) -> bytes:
    """A message as a line.

    Raises:
        ValueError: It holds what JSON cannot.
        TypeError: The same.
    """
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def task_message(task: ProposalTask) -> Message:
    """A task; the trials of its history as lists, there being many."""
    return {"spec": task.spec.to_json(), "trial": task.trial, "history": _history_message(task.history)}


def point_message(found: Point | Exhausted) -> Message:
    """The answer to a task."""
    if isinstance(found, Exhausted):
        return {"exhausted": found.points}
    assignment, notes = found
    return {"assignment": assignment, "notes": notes}


def judgement_message(task: JudgementTask) -> Message:
    """A question to a terminator, which is the study's."""
    return {"spec": task.spec.to_json(), "judge": True, "history": _history_message(task.history)}


def _history_message(history: Iterable[PastTrial]) -> list[Any]:
    return [
        [
            dict(past.assignment),
            dict(past.notes),
            past.state.value,
            [[step, _written(values)] for step, values in past.values.items()],
            past.reached,
            past.sequence,
            [[at, _written(values)] for at, values in past.probes.items()],
        ]
        for past in history
    ]


def task_of(message: Message, spec: StudySpec) -> ProposalTask:
    """The inverse of :func:`task_message`, the specification having been read."""
    return ProposalTask(spec=spec, trial=message["trial"], history=_history(message))


def judgement_of(message: Message, spec: StudySpec) -> JudgementTask:
    """The inverse of :func:`judgement_message`, the specification having been read."""
    terminator = spec.ending(Terminator)
    assert terminator is not None
    return JudgementTask(spec=spec, terminator=terminator, history=_history(message))


def _history(message: Message) -> tuple[PastTrial, ...]:
    return tuple(
        PastTrial(
            trial=number,
            assignment=assignment,
            notes=notes,
            state=TrialState(state),
            values={step: _read(each) for step, each in values},
            reached=reached,
            sequence=sequence,
            probes={at: _read(each) for at, each in probes},
        )
        for number, (assignment, notes, state, values, reached, sequence, probes) in enumerate(
            message["history"]
        )
    )


def _written(values: Iterable[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _read(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(math.inf if value is None else value for value in values)
