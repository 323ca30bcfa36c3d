"""What happened to a trial and why, as values and as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hippo_wire import json_shapes

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2

WIDTH = 80
_INDENT = "    "


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEvent:
    """Something that happened to a trial.

    Attributes:
        at: When, in UTC.
        event: What, in a word or two.
        step: The step that it is about; None: no step in particular.
        reason: Why, or how, in words and numbers; may be empty.
        by: Who brought it about: a user, the sampler, the policy or a worker; may be empty.
    """

    at: datetime
    event: str
    step: int | None
    reason: str
    by: str

    def to_json(self) -> dict[str, Any]:
        """The event as ``hippo trial explain --json`` prints it."""
        return {
            "at": self.at.isoformat(),
            "event": self.event,
            "step": self.step,
            "reason": self.reason,
            "by": self.by,
        }


class Explanation(Sequence[TrialEvent]):
    """What happened to a trial, in order; printed, it is text of at most 80 columns.

    Args:
        study: The study's name.
        message: The server's answer.
    """

    def __init__(self, study: str, message: study_pb2.ExplainTrialResponse) -> None:
        self._study = study
        self._trial = message.trial
        self._events = [
            TrialEvent(
                at=each.time.ToDatetime(tzinfo=UTC),
                event=each.event,
                step=each.step if each.HasField("step") else None,
                reason=each.reason,
                by=each.by,
            )
            for each in message.events
        ]

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, index: Any) -> Any:
        return self._events[index]

    def to_json(self) -> list[dict[str, Any]]:
        """The events as ``hippo trial explain --json`` prints them."""
        return [each.to_json() for each in self._events]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        trial = self._trial
        state = json_shapes.trial_state(trial).value
        yield f"Trial {trial.number} of {self._study}: {state} at step {trial.step} of {trial.max_steps}"
        yield from _wrapped(trial.reason)
        for each in self._events:
            at = each.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            step = "" if each.step is None else f" step {each.step}"
            by = f", by {_one_line(each.by)}" if each.by else ""
            yield from textwrap.wrap(f"{at}  {each.event}{step}{by}", WIDTH, subsequent_indent=_INDENT)
            yield from _wrapped(each.reason)

    def _repr_html_(self) -> str:
        from hippo_client.notebook import explanation_html

        return explanation_html(self._events)

    def __repr__(self) -> str:
        return f"<Explanation of trial {self._trial.number} of {self._study!r}: {len(self)} events>"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(_one_line(text), WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _one_line(text: str) -> str:
    # What user code raised may hold anything: a line break or an escape sequence must not reach the terminal.
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
