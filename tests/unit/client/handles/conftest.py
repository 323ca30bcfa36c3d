"""A study on a scripted server, and its trials."""

import json

import pytest

from hippo_wire.v1 import study_pb2
from tests.unit.client import messages


@pytest.fixture
def trials():
    return [
        messages.trial(0, study_pb2.TRIAL_STATE_COMPLETED, 9),
        messages.trial(1, study_pb2.TRIAL_STATE_DIVERGED, 3, metrics=messages.metrics(accuracy=None)),
        messages.trial(2, study_pb2.TRIAL_STATE_WAITING, 0, metrics=[]),
    ]


@pytest.fixture
def run(client, service, trials):
    service.add(messages.study(best_trial=trials[0], best_trials=trials[:1]), trials)
    service.details["digits", 0] = study_pb2.GetTrialResponse(
        trial=trials[0],
        history=[
            study_pb2.Evaluation(step=step, metrics=messages.metrics(accuracy=step / 10)) for step in (3, 9)
        ],
        values_json=json.dumps([{"lr": 0.1, "momentum": 0.9}]),
        path=[
            study_pb2.PathPart(node=1, start=0, stop=3, trial_count=3),
            study_pb2.PathPart(node=4, start=3, stop=9, trial_count=1, not_reproducible=True),
        ],
        checkpoints=[
            study_pb2.Checkpoint(node=1, step=3, fence=7),
            study_pb2.Checkpoint(node=4, step=9, fence=8),
        ],
        program_key="the-key",
        environment_json='{"python": "3.11"}',
    )
    return client.study("digits")
