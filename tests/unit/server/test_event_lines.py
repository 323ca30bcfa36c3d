"""What the log says of what happened."""

from __future__ import annotations

import logging

import pytest

from hippo_core.engine import events as ev
from hippo_core.engine.states import FailureClass, StudyState, WorkerState
from hippo_server.event_lines import log_events


def test_the_log_tells_how_studies_and_workers_come_and_end(caplog: pytest.LogCaptureFixture) -> None:
    """The lost worker and the failed path are warnings; what a trainer said of its failure is not told."""
    caplog.set_level(logging.INFO, "hippo_server.event_lines")
    log_events(
        [
            ev.StudySubmitted(
                study=3, project="p", user="ada", name="digits", program_key="k", spec={"secrets": "s3cret"}
            ),
            ev.WorkerRegistered(
                worker="w", incarnation="i", host="h", slots=({}, {}), environment={}, labels={}
            ),
            ev.StepsTrained(fence=7, node=1, start=0, stop=2, train_seconds=1.0, evaluate_seconds=0.5),
            ev.PathFailed(
                fence=7,
                node=1,
                step=2,
                failure=FailureClass.USER,
                count=1,
                message="s3cret",
                traceback="s3cret",
            ),
            ev.WorkerStateChanged(worker="w", state=WorkerState.LOST, reason="silent"),
            ev.WorkerStateChanged(worker="v", state=WorkerState.GONE, reason="left"),
            ev.StudyStateChanged(study=3, state=StudyState.COMPLETED, reason=""),
            ev.StudyDeleted(study=3),
        ]
    )
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "study_submitted"),
        ("INFO", "worker_registered"),
        ("WARNING", "path_failed"),
        ("WARNING", "worker_state"),
        ("INFO", "worker_state"),
        ("INFO", "study_state"),
        ("INFO", "study_deleted"),
    ]
    fields = [vars(record) for record in caplog.records]
    assert (fields[0]["study"], fields[0]["study_name"]) == (3, "digits")
    assert (fields[3]["worker"], fields[3]["state"], fields[3]["reason"]) == ("w", "lost", "silent")
    assert "s3cret" not in str(fields)
