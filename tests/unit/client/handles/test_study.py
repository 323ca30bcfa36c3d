"""Studies as a program sees them."""

import pytest

from hippo_client.errors import NotFound
from hippo_core.engine.states import StudyState
from hippo_wire.v1 import study_pb2
from tests.unit.client import messages


def test_a_study_s_state_compares_with_words(run):
    assert run.name == "digits"
    assert run.state is StudyState.RUNNING
    assert run.state == "running"


def test_the_state_is_asked_for_each_time(run, service):
    assert run.state == "running"
    service.studies["digits"].state = study_pb2.STUDY_STATE_COMPLETED
    assert run.state == "completed"


def test_the_best_trial_is_a_trial(run):
    assert run.best_trial.number == 0
    assert [trial.number for trial in run.best_trials] == [0]


def test_a_study_without_a_value_has_no_best_trial(client, service):
    service.add(messages.study())
    assert client.study("digits").best_trial is None
    assert client.study("digits").best_trials == []


def test_trials_are_listed_page_after_page(run):
    assert [trial.number for trial in run.trials()] == [0, 1, 2]


def test_a_trial_is_found_by_number(run):
    assert run.trial(0).number == 0
    with pytest.raises(NotFound, match="has no trial 5"):
        run.trial(5)


def test_savings_are_those_of_the_server(run):
    assert run.savings() == {
        "steps_without_sharing": 100, "steps_trained": 40, "steps_retrained": 2, "steps_in_probes": 3,
        "merge_rate": 2.5, "seconds_trained": 8.0, "seconds_saved": 12.0,
    }  # fmt: skip


def test_texts_are_short(run):
    assert repr(run) == "<StudyHandle 'digits': running; trials: 1 waiting, 2 completed>"
    assert repr(run.trials()[0]) == (
        "<Trial 0: completed at step 9; accuracy=0.5; lr=cosine(0.1, 0, period=9), momentum=0.9>"
    )
    assert repr(run.trials()[2]).startswith("<Trial 2: waiting at step 0; no metrics;")
