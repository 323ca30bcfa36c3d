"""Snapshots of studies, made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hippo_client.watching import StudySnapshot
from hippo_wire.v1 import study_pb2

STATES = {name.removeprefix("TRIAL_STATE_").lower(): value for name, value in study_pb2.TrialState.items()}


def trial(
    number: int,
    state: str,
    step: int,
    accuracy: float | None = None,
    hyperparameters: dict[str, Any] | None = None,
    reason: str = "",
) -> study_pb2.Trial:
    made = study_pb2.Trial(
        number=number,
        state=STATES[state],  # type: ignore[arg-type]
        step=step,
        max_steps=27,
        hyperparameters_json=json.dumps(hyperparameters or {"lr": 0.1 + number, "momentum": 0.9}),
        reason=reason,
    )
    if accuracy is not None:
        made.metrics.add(name="accuracy", value=accuracy)
    return made


def snapshot(
    trials: Sequence[study_pb2.Trial],
    *,
    best: int | None = None,
    state: int = study_pb2.STUDY_STATE_RUNNING,
    changed: Sequence[int] | None = None,
    reason: str = "",
    front: Sequence[int] | None = None,
) -> StudySnapshot:
    """With a front, the study minimises a loss, too."""
    objectives = [{"metric": "accuracy", "maximize": True}]
    if front is not None:
        objectives.append({"metric": "loss", "maximize": False})
        best = next(iter(front), None)
    spec = {"objectives": objectives}
    study = study_pb2.Study(
        name="digits",
        state=state,  # type: ignore[arg-type]
        reason=reason,
        spec_json=json.dumps(spec),
        savings=study_pb2.Savings(
            steps_without_sharing=264,
            steps_trained=101,
            steps_retrained=2,
            merge_rate=264 / 101,
            seconds_trained=17.1,
            seconds_saved=27.4,
        ),
        seconds_waiting=60.0,
        slots_busy=2,
        slots_total=2,
    )
    names = {value: name for name, value in STATES.items()}
    for each in trials:
        study.trial_counts[names[each.state]] += 1
    if best is not None:
        by_number = {each.number: each for each in trials}
        study.best_trial.CopyFrom(by_number[best])
        study.best_trials.extend(by_number[each] for each in front or [best])
    return StudySnapshot(
        study=study,
        trials={each.number: each for each in trials},
        changed=tuple(changed if changed is not None else [each.number for each in trials]),
    )
