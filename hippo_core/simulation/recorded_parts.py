"""The parts of a study that was really trained, as they are exported: trials, probes, leases and what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from hippo_core.engine.states import LeaseState, RequestState, TrialState
from hippo_core.space import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedProbe:
    """A probe as it was exported.

    Attributes:
        probe: Which of its trial's it is, from 1.
        at: The step from which on it parted from its trial.
        to: Up to where it was to be trained.
        state: Its state.
        reason: Why it was in that state.
        step: The step that it had reached.
        hyperparameters: By name, a value or a schedule as JSON.
        history: Metrics by step; None for one that was not finite.
        path: The stretches of its path, its trial's first: (node, start, stop).
    """

    probe: int
    at: int
    to: int
    state: TrialState
    reason: str
    step: int
    hyperparameters: Mapping[str, Any]
    history: Mapping[int, Mapping[str, float | None]]
    path: tuple[tuple[int, int, int], ...]

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """As the export tells it."""
        return cls(
            probe=int(json["probe"]),
            at=int(json["at"]),
            to=int(json["to"]),
            state=TrialState(json["state"]),
            reason=str(json["failure"]),
            step=int(json["step"]),
            hyperparameters=dict(json["hyperparameters"]),
            history=_history(json["history"]),
            path=_path(json["path"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTrial:
    """A trial as it was exported.

    Attributes:
        number: Its number.
        state: Its state.
        reason: Why it was in that state.
        step: The step that it had reached.
        max_steps: How far it might be trained.
        hyperparameters: By name, a value or a schedule as JSON.
        assignment: What was drawn; None: nothing was, since a user forked it from another trial.
        notes: What its sampler noted with it.
        parent: The trial that it was forked from.
        forked_at: The first step at which they may differ.
        history: Metrics by step; None for one that was not finite.
        by_user: Whether a user added it.
        path: The stretches of its path: (node, start, stop).
        probes: Its probes, in order.
        means: What its repeats came to together, by step; without repeats its history.
        spread: Their sample standard deviations, by step; without repeats nothing.
        checkpoints: The states on its path of which one is kept.
    """

    number: int
    state: TrialState
    reason: str
    step: int
    max_steps: int
    hyperparameters: Mapping[str, Any]
    assignment: Assignment | None
    notes: Mapping[str, Any]
    parent: int | None
    forked_at: int | None
    history: Mapping[int, Mapping[str, float | None]]
    by_user: bool
    path: tuple[tuple[int, int, int], ...]
    probes: tuple[RecordedProbe, ...]
    means: Mapping[int, Mapping[str, float | None]]
    spread: Mapping[int, Mapping[str, float | None]]
    checkpoints: tuple[int, ...]

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """As the export tells it."""
        fork = json["fork"] or {"trial": None, "at": None}
        over_repeats = json.get("over_repeats")
        return cls(
            number=int(json["trial"]),
            state=TrialState(json["state"]),
            reason=str(json["reason"]),
            step=int(json["step"]),
            max_steps=int(json["max_steps"]),
            hyperparameters=dict(json["hyperparameters"]),
            assignment=json["assignment"],
            notes=dict(json["notes"]),
            parent=fork["trial"],
            forked_at=fork["at"],
            history=_history(json["history"]),
            by_user=bool(json["by_user"]),
            path=_path(json["path"]),
            probes=tuple(map(RecordedProbe.from_json, json["probes"])),
            means=_history(json["history"] if over_repeats is None else over_repeats),
            checkpoints=tuple(map(int, json["checkpoints"])),
            spread={int(each["step"]): dict(each["spread"]) for each in over_repeats or ()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """The end of a request, as the study's policy heard of it.

    Attributes:
        trial: Whose it was.
        probe: Of which of the trial's probes; 0: of the trial itself.
        step: What was asked for.
        state: How it ended.
        reached: The step then of the trial, or of the probe.
        by_user: Whether it was a user's word: its policy heard nothing of it.
        breath: Ends with the same number were heard of together, before anything was decided.
        seconds: When it came, counted from the study's submission.
    """

    trial: int
    probe: int
    step: int
    state: RequestState
    reached: int
    by_user: bool
    breath: int
    seconds: float

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """As the export tells it."""
        return cls(
            trial=int(json["trial"]),
            probe=int(json["probe"]),
            step=int(json["step"]),
            state=RequestState(json["state"]),
            reached=int(json["reached"]),
            by_user=bool(json["by_user"]),
            breath=int(json["breath"]),
            seconds=float(json["seconds"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedLease:
    """A lease that was to train something on the path of a trial, whosever it was.

    Attributes:
        fence: Its number.
        worker: To whom it was granted.
        slot: Which of its slots.
        state: Its state.
        granted: When, in seconds since the study's submission; below 0: before it.
        ended: When it ended; None: it had not.
    """

    fence: int
    worker: str
    slot: int
    state: LeaseState
    granted: float
    ended: float | None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """As the export tells it."""
        return cls(
            fence=int(json["fence"]),
            worker=str(json["worker"]),
            slot=int(json["slot"]),
            state=LeaseState(json["state"]),
            granted=float(json["granted"]),
            ended=None if json["ended"] is None else float(json["ended"]),
        )


def _history(json: Iterable[Mapping[str, Any]]) -> dict[int, dict[str, float | None]]:
    return {int(each["step"]): dict(each["metrics"]) for each in json}


def _path(json: Iterable[Any]) -> tuple[tuple[int, int, int], ...]:
    return tuple((int(node), int(start), int(stop)) for node, start, stop in json)
