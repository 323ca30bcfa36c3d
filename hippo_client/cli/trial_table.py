"""A study's trials as a table: what tells them apart first, what they all have in common last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hippo_client.cli.picture import count_variations
from hippo_client.cli.tables import Column
from hippo_core.words import exact_hyperparameter, measured, short_hyperparameter
from hippo_wire.json_shapes import metrics_json, trial_state, violation

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2


def trial_columns(study: study_pb2.Study, trials: Sequence[study_pb2.Trial], *, exact: bool) -> list[Column]:
    """The columns, those that matter most first: objectives, whether they are feasible, reasons, what varies, the rest.

    Args:
        study: The study.
        trials: Its trials.
        exact: Whether numbers and lists are written in full.
    """
    fixed = [
        Column(heading="TRIAL", cells=[str(trial.number) for trial in trials], right=True),
        Column(heading="STATE", cells=[trial_state(trial).value for trial in trials]),
        *_horizons(trials),
        Column(heading="STEP", cells=[str(trial.step) for trial in trials], right=True),
    ]
    objectives = [each["metric"] for each in json.loads(study.spec_json)["objectives"]]
    measured = dict.fromkeys(metric.name for trial in trials for metric in trial.metrics)
    metrics = {name: _metric(name, trials, exact) for name in measured}
    return [
        *fixed,
        *(metrics.pop(name) for name in objectives if name in metrics),
        *_feasibility(trials),
        *_reasons(trials),
        *_hyperparameters(trials, exact, varying=True),
        *metrics.values(),
        *_hyperparameters(trials, exact, varying=False),
    ]


def _horizons(trials: Sequence[study_pb2.Trial]) -> list[Column]:
    """How long trials are, where their study has horizons."""
    if not any(trial.HasField("horizon") for trial in trials):
        return []
    return [Column(heading="HORIZON", cells=[str(trial.horizon) for trial in trials], right=True)]


def _metric(name: str, trials: Sequence[study_pb2.Trial], exact: bool) -> Column:
    digits = None if exact else 5
    cells = [
        measured(metrics_json(trial.metrics).get(name), metrics_json(trial.spread).get(name), digits)
        for trial in trials
    ]
    return Column(heading=name, cells=cells, right=True)


def _feasibility(trials: Sequence[study_pb2.Trial]) -> list[Column]:
    """Which trials are feasible, and by how much the others are not."""
    violated = [violation(trial) for trial in trials]
    if all(each is None for each in violated):
        return []
    cells = ["" if each is None else f"no, by {each:.3g}" if each else "yes" for each in violated]
    return [Column(heading="FEASIBLE", cells=cells)]


def _reasons(trials: Sequence[study_pb2.Trial]) -> list[Column]:
    reasons = [trial.reason for trial in trials]
    return [Column(heading="REASON", cells=reasons, cuttable=True)] if any(reasons) else []


def _hyperparameters(trials: Sequence[study_pb2.Trial], exact: bool, *, varying: bool) -> list[Column]:
    written = exact_hyperparameter if exact else short_hyperparameter
    values = [json.loads(trial.hyperparameters_json) for trial in trials]
    return [
        Column(
            heading=name,
            cells=[written(each[name]) if name in each else "" for each in values],
            cuttable=True,
        )
        for name, count in count_variations(trials).items()
        if (count > 1) is varying
    ]
