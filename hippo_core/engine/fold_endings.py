"""The part of ``apply`` that endings of studies bring about."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from hippo_core.endings import from_json
from hippo_core.engine import events as ev
from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Judgement

EndingEvent = (
    ev.StudyRan
    | ev.EndingHeld
    | ev.EndingLifted
    | ev.JudgementWanted
    | ev.JudgementGiven
    | ev.JudgementFailed
)


def apply_ending(state: EngineState, event: EndingEvent) -> None:
    """What a study's endings look at has changed, or one holds, or holds no more."""
    study = state.studies[event.study]
    match event:
        case ev.StudyRan():
            study.ran_seconds += event.seconds
        case ev.EndingHeld():
            study.ending, study.ending_reason = event.ending, event.reason
        case ev.EndingLifted():
            study.ending = study.ending_reason = ""
        case ev.JudgementWanted():
            [terminator] = from_json([event.terminator])
            study.judgement = Judgement(
                terminator,
                event.sequence,
                tuple(event.pending),
                event.max_steps,
                event.trials,
                event.failures,
            )
        case ev.JudgementGiven():
            assert study.judgement is not None
            study.judgement = replace(
                study.judgement, waiting=False, failures=0, ends=event.ends, reason=event.reason
            )
            state.touched_studies[study.id] = None
        case ev.JudgementFailed():
            assert study.judgement is not None
            study.judgement = replace(
                study.judgement, waiting=False, failures=event.failures, reason=event.reason
            )
        case _:
            assert_never(event)
