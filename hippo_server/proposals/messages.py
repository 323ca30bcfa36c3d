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
from hippo_server.proposals.known import ByPlace

Message = Mapping[str, Any]
WRITER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def encode(message: Message) -> bytes:
    """A message as a line.

    Raises:
        ValueError: It holds what JSON cannot.
        TypeError: The same.
    """
    return WRITER.encode(message).encode() + b"\n"


def task_message(task: ProposalTask, known: ByPlace[PastTrial, str] | None = None) -> Message:
    """A task; each trial of its history is a text of its own, so that those that are as before need not be read.

    Args:
        task: The task.
        known: The texts of the study's trials.
    """
    known = ByPlace() if known is None else known
    rows = known.of(task.history, _row)
    return {"spec": task.spec.to_json(), "trial": task.trial, "history": rows}


def point_message(found: Point | Exhausted) -> Message:
    """The answer to a task."""
    if isinstance(found, Exhausted):
        return {"exhausted": found.points}
    assignment, notes = found
    return {"assignment": assignment, "notes": notes}


def judgement_message(task: JudgementTask) -> Message:
    """A question to a terminator, which is the study's."""
    return {
        "spec": task.spec.to_json(),
        "judge": True,
        "history": [_row(*each) for each in enumerate(task.history)],
    }


def task_of(message: Message, spec: StudySpec, known: ByPlace[str, PastTrial] | None = None) -> ProposalTask:
    """The inverse of :func:`task_message`, the specification having been read; ``known`` are the trials that were."""
    known = ByPlace() if known is None else known
    history = known.of(message["history"], _past)
    return ProposalTask(spec=spec, trial=message["trial"], history=tuple(history))


def judgement_of(message: Message, spec: StudySpec) -> JudgementTask:
    """The inverse of :func:`judgement_message`, the specification having been read."""
    terminator = spec.ending(Terminator)
    assert terminator is not None
    history = tuple(_past(*each) for each in enumerate(message["history"]))
    return JudgementTask(spec=spec, terminator=terminator, history=history)


def _row(_: int, past: PastTrial) -> str:
    return WRITER.encode(
        [
            dict(past.assignment),
            dict(past.notes),
            past.state.value,
            [[step, _written(values)] for step, values in past.values.items()],
            past.reached,
            past.sequence,
            [[at, _written(values)] for at, values in past.probes.items()],
        ]
    )


def _past(place: int, row: str) -> PastTrial:
    assignment, notes, state, values, reached, sequence, probes = json.loads(row)
    return PastTrial(
        trial=place,
        assignment=assignment,
        notes=notes,
        state=TrialState(state),
        values={step: _read(each) for step, each in values},
        reached=reached,
        sequence=sequence,
        probes={at: _read(each) for at, each in probes},
    )


def _written(values: Iterable[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _read(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(math.inf if value is None else value for value in values)
