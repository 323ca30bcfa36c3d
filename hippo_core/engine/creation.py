"""Creating trials, each with its repeats."""

from __future__ import annotations

from dataclasses import replace

from hippo_core.engine.decision import Decision
from hippo_core.engine.events import TrialCreated
from hippo_core.repeats import number_of


def create_trial(decision: Decision, event: TrialCreated) -> None:
    """Creates a trial, and its repeats, which have the same point."""
    decision.emit(event)
    for repeat in range(1, decision.state.studies[event.study].spec.repeats):
        decision.emit(replace(event, trial=number_of(event.trial, repeat), notes={}))
