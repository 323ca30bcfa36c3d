"""Rows of studies: what they are, how they stand, and how they may end."""

from __future__ import annotations

from hippo_core.engine import events as ev
from hippo_core.engine.journal import to_json
from hippo_core.engine.states import ENDED_STUDY_STATES
from hippo_server.store.batch import Batch
from hippo_server.store.rows.handler import Handler


def _submitted(batch: Batch, event: ev.StudySubmitted, position: int) -> None:
    batch.keep("programs", key=event.program_key, program=event.spec["program"])
    batch.insert(
        "studies",
        id=event.study,
        project=event.project,
        name=event.name,
        submitted_by=event.user,
        program=event.program_key,
        spec=event.spec,
        state="running",
    )
    batch.insert("study_specs", since=position, study=event.study, spec=event.spec, differences=())


def _changed(batch: Batch, event: ev.StudyChanged, position: int) -> None:
    batch.update("studies", event.study, spec=event.spec)
    batch.insert(
        "study_specs",
        since=position,
        study=event.study,
        spec=event.spec,
        differences=event.differences,
    )


def _state_changed(batch: Batch, event: ev.StudyStateChanged, position: int) -> None:
    ended_at = batch.now if event.state in ENDED_STUDY_STATES else None
    batch.update(
        "studies",
        event.study,
        state=event.state,
        reason=event.reason,
        ended_at=ended_at,
        points_wanted_at=None,  # if it runs and wants any, it says so
    )


def _planned(batch: Batch, event: ev.StudyPlanned, position: int) -> None:
    batch.update("studies", event.study, plan=event.plan, planned=position, bound=event.bound)


def _credited(batch: Batch, event: ev.StudyCredited, position: int) -> None:
    batch.update(
        "studies",
        event.study,
        how="add",
        steps_trained=event.steps_trained,
        steps_retrained=event.steps_retrained,
        seconds=event.seconds,
    )
    if event.billed:
        hour = batch.now.replace(minute=0, second=0, microsecond=0)
        batch.add(
            "bills",
            study=event.study,
            hour=hour,
            slot_microseconds=event.billed,
            gpu_microseconds=event.billed_gpus,
        )
    for user, passed in ((event.user, event.passed), ("", event.project_passed)):
        if event.billed or passed:
            batch.update(
                "accounts",
                event.project,
                user,
                how="add",
                billed=event.billed,
                billed_gpus=event.billed_gpus,
                passed=passed,
            )


def _ran(batch: Batch, event: ev.StudyRan, position: int) -> None:
    batch.update("studies", event.study, how="add", ran_seconds=event.seconds)


def _ending_held(batch: Batch, event: ev.EndingHeld, position: int) -> None:
    batch.update("studies", event.study, ending=event.ending, ending_reason=event.reason)


def _ending_lifted(batch: Batch, event: ev.EndingLifted, position: int) -> None:
    batch.update("studies", event.study, ending="", ending_reason="")


def _judgement_wanted(batch: Batch, event: ev.JudgementWanted, position: int) -> None:
    asked = {name: value for name, value in to_json(event).items() if name != "study"}
    batch.update("studies", event.study, asked=asked, judged=None)


def _judgement_given(batch: Batch, event: ev.JudgementGiven, position: int) -> None:
    batch.update("studies", event.study, judged={"ends": event.ends, "reason": event.reason})


def _judgement_failed(batch: Batch, event: ev.JudgementFailed, position: int) -> None:
    batch.update("studies", event.study, judged={"failures": event.failures, "reason": event.reason})


HANDLERS: dict[type, Handler] = {
    ev.StudySubmitted: _submitted,
    ev.StudyChanged: _changed,
    ev.StudyStateChanged: _state_changed,
    ev.StudyPlanned: _planned,
    ev.StudyCredited: _credited,
    ev.StudyRan: _ran,
    ev.EndingHeld: _ending_held,
    ev.EndingLifted: _ending_lifted,
    ev.JudgementWanted: _judgement_wanted,
    ev.JudgementGiven: _judgement_given,
    ev.JudgementFailed: _judgement_failed,
}
