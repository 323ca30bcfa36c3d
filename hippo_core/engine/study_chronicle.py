"""What happened to a study, event by event, in words: what people follow, without what only the engine needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_core.engine import events as ev
from hippo_core.engine.states import TrialState

KINDS: tuple[type, ...] = (
    ev.StudySubmitted,
    ev.StudyChanged,
    ev.StudyStateChanged,
    ev.EndingHeld,
    ev.EndingLifted,
    ev.JudgementFailed,
    ev.ProposalFailed,
    ev.SpaceExhausted,
    ev.PolicyFailed,
    ev.PolicyForgiven,
    ev.TrialCreated,
    ev.TrialStopped,
    ev.TrialWanted,
    ev.TrialStateChanged,
    ev.LeaseGranted,
    ev.CheckpointPinned,
    ev.CheckpointUnpinned,
)
"""The events that are told."""


def in_words(event: ev.Event) -> tuple[str, str]:
    """What an event of ``KINDS`` says: a word or two, and the particulars, which may be empty."""
    match event:
        case ev.StudySubmitted():
            return "submitted", f"as {event.name}"
        case ev.StudyChanged():
            return "changed", "; ".join(event.differences)
        case ev.StudyStateChanged():
            return event.state.value, event.reason
        case ev.EndingHeld():
            return "ending holds", event.reason
        case ev.EndingLifted():
            return "ending lifted", ""
        case ev.JudgementFailed():
            return "terminator failed", f"{event.reason} ({event.failures} in a row)"
        case ev.ProposalFailed():
            return "sampler failed", f"trial {event.trial}: {event.reason} ({event.failures} in a row)"
        case ev.SpaceExhausted():
            return (
                "space exhausted",
                f"all {event.points} points are trials" if event.points else "it has others",
            )
        case ev.PolicyFailed():
            return "policy failed", f"{event.reason} ({event.failures} in a row)"
        case ev.PolicyForgiven():
            return "policy asked again", ""
        case ev.TrialCreated():
            return "trial created", f"trial {event.trial}{_fork(event.fork)}"
        case ev.TrialStopped():
            return "trial taken over", f"trial {event.trial} is a user's"
        case ev.TrialWanted():
            return "trial extended", f"trial {event.trial} to step {event.step}"
        case ev.TrialStateChanged():
            word = "rests" if event.state is TrialState.PAUSED else event.state.value
            return f"trial {word}", ": ".join(filter(None, [f"trial {event.trial}", event.reason]))
        case ev.LeaseGranted():
            stages = ", ".join(f"{start} to {stop}" for _, start, stop in event.stages)
            return (
                "granted",
                f"steps {stages} to worker {event.worker}, slot {event.slot}, lease {event.fence}",
            )
        case ev.CheckpointPinned():
            return "pinned", f"the checkpoint of node {event.node} at step {event.step}"
        case ev.CheckpointUnpinned():
            return "unpinned", f"the checkpoint of node {event.node} at step {event.step}"
        case _:
            raise AssertionError(f"{type(event).__name__} is not told")


def _fork(fork: Mapping[str, Any] | None) -> str:
    return "" if fork is None else f", forked from trial {fork['trial']} at step {fork['at']}"
