"""A study as a stream: of many trials in parts, changed ones alone after that, and its end at once."""

from __future__ import annotations

import pytest

from hippo_client.watching import fold
from hippo_core.errors import NotFound
from hippo_server.rpc import watching
from hippo_wire.v1 import study_pb2
from tests.integration.server.conftest import submit

TRIALS = 250
MANY = {"lr": [number / 1000 for number in range(1, TRIALS + 1)]}


def watch(client):
    return client.studies.WatchStudy(study_pb2.WatchStudyRequest(name="study"))


def test_many_trials_come_in_parts_that_add_up_to_the_study(client):
    submit(client, space=MANY)
    stream = watch(client)
    parts = []
    while not parts or parts[-1].more:
        parts.append(next(stream))
    assert [len(part.trials) for part in parts] == [100, 100, 50]
    assert [part.HasField("study") for part in parts] == [False, False, True]
    (snapshot,) = fold(iter(parts))
    listed = client.studies.ListTrials(study_pb2.ListTrialsRequest(name="study", page_size=1000)).trials
    assert list(snapshot.trials.values()) == list(listed)
    assert snapshot.study.state == study_pb2.STUDY_STATE_RUNNING


def test_later_only_trials_that_changed_are_sent(client):
    submit(client, space=MANY)
    snapshots = fold(watch(client))
    assert len(next(snapshots).changed) == TRIALS
    client.studies.StopTrial(study_pb2.StopTrialRequest(request_id="stop", name="study", trial=117))
    stopped = next(snapshots)
    assert stopped.changed == (117,)
    assert stopped.trials[117].state == study_pb2.TRIAL_STATE_STOPPED


def test_what_changes_between_two_parts_is_told_next(client):
    submit(client, space=MANY)
    stream = watch(client)
    assert next(stream).more
    client.studies.StopTrial(study_pb2.StopTrialRequest(request_id="stop", name="study", trial=3))
    state = {}
    while state.get(3) != study_pb2.TRIAL_STATE_STOPPED:
        state.update((trial.number, trial.state) for trial in next(stream).trials)


def test_a_study_that_takes_the_name_of_a_deleted_one_is_another(client, monkeypatch):
    monkeypatch.setattr(watching, "LOOK_SHARE", 1e-9)
    submit(client)
    stream = watch(client)
    next(stream)
    client.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id="pause", name="study"))
    client.studies.DeleteStudy(study_pb2.DeleteStudyRequest(request_id="delete", name="study"))
    submit(client, "again", space={"lr": [0.7, 0.8]})
    with pytest.raises(NotFound):
        list(stream)


@pytest.mark.timeout(60)
def test_an_end_is_told_however_long_the_pause_between_two_looks(client, monkeypatch):
    monkeypatch.setattr(watching, "LOOK_SHARE", 1e-9)
    submit(client)
    snapshots = fold(watch(client))
    assert next(snapshots).study.state == study_pb2.STUDY_STATE_RUNNING
    client.studies.StopStudy(study_pb2.StopStudyRequest(request_id="stop", name="study"))
    ended = next(snapshots)
    assert ended.study.state == study_pb2.STUDY_STATE_STOPPED
    assert {trial.state for trial in ended.trials.values()} == {study_pb2.TRIAL_STATE_STOPPED}
