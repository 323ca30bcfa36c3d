"""Messages of a server, with defaults."""

import json

from hippo_wire.v1 import study_pb2
from tests.studies import grid

HYPERPARAMETERS = {"lr": {"schedule": "cosine", "initial": 0.1, "final": 0.0, "period": 9}, "momentum": 0.9}


SPEC = json.dumps(grid({"momentum": 0.9}, name="digits").to_json())


def metrics(**values):
    """None: a metric that is not finite."""
    return [study_pb2.Metric(name=name, value=value) for name, value in values.items()]


def trial(
    number=0, state=study_pb2.TRIAL_STATE_COMPLETED, step=3, hyperparameters=HYPERPARAMETERS, **changes
):
    return study_pb2.Trial(
        number=number,
        state=state,
        step=step,
        max_steps=9,
        metrics=changes.pop("metrics", metrics(accuracy=0.5)),
        hyperparameters_json=json.dumps(hyperparameters),
        **changes,
    )


def study(name="digits", state=study_pb2.STUDY_STATE_RUNNING, **changes):
    if "best_trial" in changes:
        changes.setdefault("best_trials", [changes["best_trial"]])
    return study_pb2.Study(
        name=name,
        state=state,
        spec_json=changes.pop("spec_json", SPEC),
        trial_counts=changes.pop("trial_counts", {"waiting": 1, "completed": 2}),
        savings=study_pb2.Savings(
            steps_without_sharing=100, steps_trained=40, steps_retrained=2, merge_rate=2.5, seconds_trained=8.0,
            seconds_saved=12.0, steps_in_probes=3,
        ),
        **changes,
    )  # fmt: skip


def explanation(trial_message, *events):
    """``events`` are (second, event, step, reason, by)."""
    message = study_pb2.ExplainTrialResponse(trial=trial_message)
    for second, event, step, reason, by in events:
        message.events.add(event=event, step=step, reason=reason, by=by).time.FromSeconds(second)
    return message


def update(*trials, state=study_pb2.STUDY_STATE_RUNNING, **changes):
    return study_pb2.WatchStudyResponse(study=study(state=state, **changes), trials=trials)
