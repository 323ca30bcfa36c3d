"""What slots did: their time by kind, and the stretches that a chart shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from hippo_core.simulation.costs import Host, ticks


class Activity(StrEnum):
    """What a slot's time goes into."""

    TRAINING = "training"
    EVALUATION = "evaluation"
    SAVE = "save"
    LOAD = "load"
    SETUP = "setup"
    IDLE = "idle"
    LOST = "lost"  #: what had been trained before, or what a worker took with it when it died


@dataclass(slots=True, kw_only=True)
class Span:
    """A stretch of a slot's time.

    Attributes:
        host: The worker.
        slot: The slot's index on it.
        fence: The lease.
        study: The study that the lease was granted for.
        activity: What it did. Training includes the evaluations between its steps.
        begin: In ticks.
        end: In ticks.
        evaluation: Ticks of it that went into evaluations.
        node: The node that was trained; 0 where nothing was.
        start: The first step.
        stop: One past the last.
        trials: How many trials the steps served, of all studies.
        probes: How many probes beyond where they part from their trials.
    """

    host: str
    slot: int
    fence: int
    study: str
    activity: Activity
    begin: int
    end: int
    evaluation: int = 0
    node: int = 0
    start: int = 0
    stop: int = 0
    trials: int = 0
    probes: int = 0


@dataclass(slots=True)
class Usage:
    """The accounts of all slots.

    Attributes:
        spent: Ticks by activity, idling left out.
        spans: What was done, in the order in which it was booked.
    """

    spent: dict[Activity, int] = field(
        default_factory=lambda: {each: 0 for each in Activity if each is not Activity.IDLE}
    )
    spans: list[Span] = field(default_factory=list)

    def book(self, span: Span) -> None:
        """Books a stretch."""
        if span.end == span.begin:
            return
        whole = span.end - span.begin
        evaluation = span.evaluation if span.activity is Activity.TRAINING else 0
        self.spent[span.activity] += whole - evaluation
        self.spent[Activity.EVALUATION] += evaluation
        self.spans.append(span)

    def cut(self, span: Span, now: int) -> None:
        """Takes back what was booked beyond the present time."""
        if span.end > now:
            self.spent[span.activity] -= span.end - max(now, span.begin)
            span.end = max(now, span.begin)

    def accounts(self, hosts: Sequence[Host], end: int) -> dict[Activity, int]:
        """Ticks by activity; what is left of the time that slots were there, they idled.

        Args:
            hosts: All workers.
            end: When the last study ended.
        """
        there = sum(host.slots * max(0, _gone(host, end) - ticks(host.joins_seconds)) for host in hosts)
        idle = there - sum(self.spent.values())
        return {each: idle if each is Activity.IDLE else self.spent[each] for each in Activity}


def most_slots(hosts: Sequence[Host]) -> int:
    """The most slots that are there at a time."""
    return max(
        sum(
            host.slots
            for host in hosts
            if host.joins_seconds <= at.joins_seconds
            and (host.lost_seconds is None or at.joins_seconds < host.lost_seconds)
        )
        for at in hosts
    )


def _gone(host: Host, end: int) -> int:
    return end if host.lost_seconds is None else min(end, ticks(host.lost_seconds))
