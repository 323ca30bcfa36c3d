"""Trials as a program sees them."""

import json
import time

import pytest

from hippo_client import schedules, space
from hippo_client.errors import InvalidStudy
from hippo_core.engine.states import TrialState
from hippo_wire.v1 import study_pb2
from tests.studies import grid
from tests.unit.client import messages


def test_a_trial_tells_of_itself(run):
    trial = run.trials()[0]
    assert (trial.number, trial.state, trial.step, trial.max_steps) == (0, TrialState.COMPLETED, 9, 9)
    assert trial.metrics == {"accuracy": 0.5}
    assert trial.hyperparameters == messages.HYPERPARAMETERS


def test_a_metric_that_is_not_finite_is_none(run):
    assert run.trials()[1].metrics == {"accuracy": None}


def test_history_lists_evaluations_by_step(run):
    assert run.trial(0).history() == [
        {"step": 3, "metrics": {"accuracy": 0.3}},
        {"step": 9, "metrics": {"accuracy": 0.9}},
    ]


def test_values_are_those_of_the_schedule_at_any_step(client, service):
    searched = {"lr": space.choice([0.1, schedules.piecewise([0.1, 0.01], [5])]), "size": (1, 2)}
    spec = grid(searched, name="digits")
    shown = messages.trial(1, hyperparameters=spec.hyperparameters(spec.point(1)))
    service.add(messages.study(spec_json=json.dumps(spec.to_json())), [shown])
    trial = client.study("digits").trials()[0]
    assert trial.values(step=4) == {"lr": 0.1, "size": (1, 2)}
    assert trial.values(step=5) == {"lr": 0.01, "size": (1, 2)}
    assert trial.values(step=1000) == {"lr": 0.01, "size": (1, 2)}
    for wrong in (-1, 0.5, True):
        with pytest.raises(InvalidStudy, match="step: must be an int of at least 0"):
            trial.values(wrong)


def test_logs_are_joined(run, service):
    service.logs["digits", 0] = ["epoch 1\n", "epo", "ch 2\n"]
    assert run.trial(0).logs() == "epoch 1\nepoch 2\n"


@pytest.fixture
def explanation(run, service, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    reason = "not promoted beyond step 9: rank 5 of 9 at step 9, 0.91; 3 go on, down to 0.97"
    trial = messages.trial(0, study_pb2.TRIAL_STATE_STOPPED, 9, reason=reason)
    service.explanations["digits", 0] = messages.explanation(
        trial,
        (0, "created", None, "point 0, as ann submitted the study; at most 27 steps", "sampler grid"),
        (1, "failure", 3, "user failure 1 in a row: ValueError: \x1b[31mno", "worker a"),
        (86400, "stopped", None, reason, "policy asha"),
        (86401, "reached", 9, "", ""),
    )
    yield run.trial(0).explain()
    monkeypatch.undo()
    time.tzset()


def test_an_explanation_is_a_list_of_what_happened(explanation):
    assert [(each.event, each.step, each.by) for each in explanation] == [
        ("created", None, "sampler grid"),
        ("failure", 3, "worker a"),
        ("stopped", None, "policy asha"),
        ("reached", 9, ""),
    ]
    assert explanation.to_json()[1] == {
        "at": "1970-01-01T00:00:01+00:00",
        "event": "failure",
        "step": 3,
        "reason": "user failure 1 in a row: ValueError: \x1b[31mno",
        "by": "worker a",
    }


def test_an_explanation_reads_well_in_80_columns(explanation):
    lines = str(explanation).splitlines()
    assert lines == [
        "Trial 0 of digits: stopped at step 9 of 9",
        "    not promoted beyond step 9: rank 5 of 9 at step 9, 0.91; 3 go on, down to",
        "    0.97",
        "1970-01-01 00:00:00  created, by sampler grid",
        "    point 0, as ann submitted the study; at most 27 steps",
        "1970-01-01 00:00:01  failure step 3, by worker a",
        "    user failure 1 in a row: ValueError: \\x1b[31mno",
        "1970-01-02 00:00:00  stopped, by policy asha",
        "    not promoted beyond step 9: rank 5 of 9 at step 9, 0.91; 3 go on, down to",
        "    0.97",
        "1970-01-02 00:00:01  reached step 9",
    ]
    assert max(map(len, lines)) <= 80


def test_one_trial_is_tried_again(run, service):
    assert run.trial(0).retry().number == 0
    assert service.changes[0].trial == 0
    assert service.changes[0].HasField("trial")


def test_a_trial_is_stopped_once_also_where_the_reply_is_lost(run, service):
    trial = run.trial(0)
    service.lose = 1
    assert trial.stop() is True
    assert trial.state == "stopped"
    assert trial.stop() is False
    assert [change.trial for change in service.changes] == [0, 0]


def test_a_trial_is_extended_once_and_tells_warnings(run, service):
    trial = run.trial(0)
    service.lose = 1
    assert trial.extend(to=81) is trial
    assert (trial.max_steps, trial.warnings) == (81, ("rounded",))
    assert [(change.trial, change.to) for change in service.changes] == [(0, 81)]


@pytest.mark.parametrize("to", [0, -1, True, 1.5, None])
def test_extending_to_what_is_no_step_is_refused(run, to):
    with pytest.raises(InvalidStudy, match="to"):
        run.trial(0).extend(to=to)


def test_a_lineage_is_told_from_its_root(run, service):
    """Trial 1 is a fork of trial 2 at step 4, in place of trial 0."""
    service.details["digits", 1] = study_pb2.GetTrialResponse(
        trial=messages.trial(1, parent=2, forked_at=4, instead_of=0), values_json="[]"
    )
    service.details["digits", 2] = study_pb2.GetTrialResponse(trial=messages.trial(2))
    fork = run.trial(1)
    assert (fork.parent, fork.forked_at, fork.instead_of) == (2, 4, 0)
    assert fork.lineage() == [{"trial": 2, "start": 0}, {"trial": 1, "start": 4}]
    assert fork.to_json(detail=True)["fork"] == {"trial": 2, "at": 4, "instead_of": 0}
    assert run.trial(2).lineage() == [{"trial": 2, "start": 0}]
    assert run.trial(2).instead_of is None


def test_a_trial_can_be_read_again(run, service):
    trial = run.trials()[0]
    service.details["digits", 0].trial.step = 12
    assert trial.step == 9
    assert trial.refresh().step == 12
