"""What happened to a study, in words: every kind that is told."""

from __future__ import annotations

import pytest

from hippo_core.engine import events as ev
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study_chronicle import KINDS, in_words

TOLD: list[tuple[ev.Event, tuple[str, str]]] = [
    (
        ev.StudySubmitted(study=1, project="p", user="u", name="digits", program_key="k", spec={}),
        ("submitted", "as digits"),
    ),
    (ev.StudyChanged(study=1, spec={}, differences=("a: 1 -> 2", "b")), ("changed", "a: 1 -> 2; b")),
    (ev.StudyStateChanged(study=1, state=StudyState.PAUSED, reason="by a user"), ("paused", "by a user")),
    (ev.EndingHeld(study=1, ending="timeout", reason="2 of 2 hours"), ("ending holds", "2 of 2 hours")),
    (ev.EndingLifted(study=1), ("ending lifted", "")),
    (ev.JudgementFailed(study=1, failures=2, reason="why"), ("terminator failed", "why (2 in a row)")),
    (
        ev.ProposalFailed(study=1, trial=3, failures=1, reason="why"),
        ("sampler failed", "trial 3: why (1 in a row)"),
    ),
    (ev.SpaceExhausted(study=1, points=4), ("space exhausted", "all 4 points are trials")),
    (ev.SpaceExhausted(study=1, points=0), ("space exhausted", "it has others")),
    (ev.PolicyFailed(study=1, number=0, failures=1, reason="why"), ("policy failed", "why (1 in a row)")),
    (ev.PolicyForgiven(study=1, number=0), ("policy asked again", "")),
    (ev.TrialCreated(study=1, trial=2, assignment={}, max_steps=9), ("trial created", "trial 2")),
    (
        ev.TrialCreated(study=1, trial=2, assignment={}, max_steps=9, fork={"trial": 0, "at": 3}),
        ("trial created", "trial 2, forked from trial 0 at step 3"),
    ),
    (ev.TrialStopped(study=1, trial=2), ("trial taken over", "trial 2 is a user's")),
    (ev.TrialWanted(study=1, trial=2, step=9), ("trial extended", "trial 2 to step 9")),
    (
        ev.TrialStateChanged(study=1, trial=2, state=TrialState.FAILED, reason="why"),
        ("trial failed", "trial 2: why"),
    ),
    (
        ev.TrialStateChanged(study=1, trial=2, state=TrialState.PAUSED, reason=""),
        ("trial rests", "trial 2"),
    ),
    (
        ev.LeaseGranted(
            fence=7,
            worker="w",
            incarnation="i",
            slot=1,
            plan=1,
            study=1,
            user="u",
            stages=((4, 0, 3), (5, 3, 9)),
            start=None,
            in_memory=False,
            save_points=(),
        ),
        ("granted", "steps 0 to 3, 3 to 9 to worker w, slot 1, lease 7"),
    ),
    (ev.CheckpointPinned(study=1, node=4, step=3), ("pinned", "the checkpoint of node 4 at step 3")),
    (ev.CheckpointUnpinned(study=1, node=4, step=3), ("unpinned", "the checkpoint of node 4 at step 3")),
]


@pytest.mark.parametrize(("event", "words"), TOLD, ids=lambda each: type(each).__name__)
def test_an_event_is_told_in_words(event: ev.Event, words: tuple[str, str]) -> None:
    assert in_words(event) == words


def test_every_kind_has_words() -> None:
    assert {type(event) for event, _ in TOLD} == set(KINDS)
