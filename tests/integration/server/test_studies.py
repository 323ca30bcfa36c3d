"""What clients ask: submissions, changes, pages, errors with their reasons, and request ids."""

from __future__ import annotations

import json

import grpc
import pytest
from blake3 import blake3
from google.rpc import error_details_pb2, status_pb2

from hippo_core.engine import trial_views
from hippo_core.errors import Conflict, InvalidStudy, NotFound
from hippo_core.study_changes import extended
from hippo_storage.bundle import build
from hippo_wire.errors import DETAILS_KEY
from hippo_wire.json_text import dump
from hippo_wire.streams import pieces
from hippo_wire.v1 import study_pb2
from tests.integration.server.conftest import spec, submit, upload
from tests.waiting import until


def test_submitting_again_finds_the_equal_study_and_extends_a_larger_one(client):
    first = submit(client, "1")
    assert first.outcome == study_pb2.SUBMIT_OUTCOME_CREATED
    assert first.study.state == study_pb2.STUDY_STATE_RUNNING
    assert dict(first.study.trial_counts) == {"waiting": 4}
    assert submit(client, "2").outcome == study_pb2.SUBMIT_OUTCOME_UNCHANGED
    more = dump(extended(spec(name="study"), max_trials=None, max_steps=5, priority=None).to_json())
    request = study_pb2.SubmitStudyRequest(request_id="3", spec_json=more)
    assert client.studies.SubmitStudy(request).outcome == study_pb2.SUBMIT_OUTCOME_EXTENDED
    with pytest.raises(Conflict) as conflict:
        submit(client, "4", space={"lr": [0.3], "momentum": [0.8, 0.9]})
    assert "space" in conflict.value.message
    assert conflict.value.hint


def test_the_trials_of_a_large_study_come_after_the_answer(client):
    """1. A thousand trials wait as the study is submitted. 2. All come, and are as its user submitted them."""
    large = submit(client, space={"lr": [0.001 * number for number in range(1, 1001)]}).study
    assert dict(large.trial_counts) == {"waiting": 1000}

    def last():
        request = study_pb2.ListTrialsRequest(name="study", page_size=1000)
        return [trial for trial in client.studies.ListTrials(request).trials if trial.number == 999]

    [trial] = until(last, "all trials")
    assert json.loads(trial.hyperparameters_json) == {"lr": 1.0}
    [created, *_] = client.studies.ExplainTrial(study_pb2.ExplainTrialRequest(name="study", trial=999)).events
    assert (created.reason, created.by) == ("one of the study's points; at most 3 steps", "sampler grid")
    read = client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study
    assert dict(read.trial_counts) == {"waiting": 1000}


def test_an_answer_shows_the_study_as_it_is_read_afterwards(client):
    answered = submit(client).study
    read = client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study
    assert abs(answered.create_time.ToDatetime() - read.create_time.ToDatetime()).total_seconds() < 5
    answered.ClearField("create_time")
    read.ClearField("create_time")
    assert answered == read
    assert json.loads(read.spec_json) == spec(name="study").to_json()


def test_a_life_of_pausing_resuming_stopping_and_deleting(client):
    submit(client)
    studies = client.studies

    def ask(method, kind, number):
        return method(kind(request_id=str(number), name="study"))

    paused = ask(studies.PauseStudy, study_pb2.PauseStudyRequest, 10)
    assert paused.study.state == study_pb2.STUDY_STATE_PAUSED
    resumed = ask(studies.ResumeStudy, study_pb2.ResumeStudyRequest, 11)
    assert resumed.study.state == study_pb2.STUDY_STATE_RUNNING
    with pytest.raises(Conflict):
        ask(studies.DeleteStudy, study_pb2.DeleteStudyRequest, 12)
    stopped = ask(studies.StopStudy, study_pb2.StopStudyRequest, 13)
    assert stopped.study.state == study_pb2.STUDY_STATE_STOPPED
    assert dict(stopped.study.trial_counts) == {"stopped": 4}
    read = studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study
    assert read.HasField("end_time")
    retried = ask(studies.RetryTrials, study_pb2.RetryTrialsRequest, 14)
    assert retried.trial_count == 0
    assert ask(studies.DeleteStudy, study_pb2.DeleteStudyRequest, 15).trial_count == 4
    with pytest.raises(NotFound):
        studies.GetStudy(study_pb2.GetStudyRequest(name="study"))


def test_extending_says_what_may_not_be(client):
    submit(client)
    with pytest.raises(InvalidStudy) as refused:
        client.studies.ExtendStudy(study_pb2.ExtendStudyRequest(request_id="2", name="study", max_steps=1))
    assert refused.value.field == "max_steps"
    request = study_pb2.ExtendStudyRequest(request_id="3", name="study", priority=7)
    extended = client.studies.ExtendStudy(request).study
    assert json.loads(extended.spec_json)["priority"] == 7


def test_an_edit_shows_its_differences_first_and_is_kept_with_who_and_when(client, start_server):
    submit(client)
    wanted = spec(name="study", space={"lr": [0.3], "momentum": [0.8, 0.9]})
    request = study_pb2.EditStudyRequest(
        request_id="2", name="study", spec_json=dump(wanted.to_json()), change_count=0, dry_run=True
    )
    shown = client.studies.EditStudy(request)
    assert any(line.startswith("max_trials: 4 -> 6") for line in shown.differences)
    assert dict(shown.study.trial_counts) == {"waiting": 4}
    request.dry_run = False
    changed = client.studies.EditStudy(request)
    assert changed.differences == shown.differences
    assert dict(changed.study.trial_counts) == {"waiting": 6}
    read = client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study
    assert read.change_count == 1
    (change,) = read.changes
    assert change.by
    assert change.differences == shown.differences
    assert abs(change.time.ToSeconds() - read.create_time.ToSeconds()) < 60
    with pytest.raises(Conflict, match="by somebody else meanwhile"):
        client.studies.EditStudy(
            study_pb2.EditStudyRequest(
                request_id="3", name="study", spec_json=dump(spec(name="study").to_json()), change_count=0
            )
        )


def test_pages_hold_everything_once_and_in_order(client):
    for number in range(5):
        submit(client, f"s{number}", name=f"study-{number}")
    names, token = [], ""
    while True:
        page = client.studies.ListStudies(study_pb2.ListStudiesRequest(page_size=2, page_token=token))
        names += [study.name for study in page.studies]
        token = page.next_page_token
        if not token:
            break
    assert names == [f"study-{number}" for number in (4, 3, 2, 1, 0)]
    first = client.studies.ListTrials(study_pb2.ListTrialsRequest(name="study-1", page_size=3))
    assert [trial.number for trial in first.trials] == [0, 1, 2]
    rest = study_pb2.ListTrialsRequest(name="study-1", page_size=3, page_token=first.next_page_token)
    assert [trial.number for trial in client.studies.ListTrials(rest).trials] == [3]
    for size, page_token in ((-1, ""), (10**6, ""), (0, "nonsense")):
        with pytest.raises(InvalidStudy):
            client.studies.ListStudies(study_pb2.ListStudiesRequest(page_size=size, page_token=page_token))


def test_a_page_of_trials_costs_no_more_than_its_own_trials(client, monkeypatch):
    """Only those on it are looked at, and the one after them, which tells that there is another page."""
    submit(client, space={"lr": [number / 100 for number in range(1, 21)]})
    seen = []
    view = trial_views.view_of_trial

    def count(state, study, trial, waiting):
        seen.append(trial.number)
        return view(state, study, trial, waiting)

    monkeypatch.setattr(trial_views, "view_of_trial", count)
    numbers, token = [], ""
    while True:
        page = client.studies.ListTrials(
            study_pb2.ListTrialsRequest(name="study", page_size=8, page_token=token)
        )
        numbers.append([trial.number for trial in page.trials])
        token = page.next_page_token
        if not token:
            break
    assert numbers == [list(range(8)), list(range(8, 16)), list(range(16, 20))]
    assert seen == [*range(9), *range(8, 17), *range(16, 20)]
    beyond = study_pb2.ListTrialsRequest(name="study", page_token="9" * 19)
    assert not client.studies.ListTrials(beyond).trials


def test_one_trial_and_the_stage_tree(client):
    submit(client)
    detail = client.studies.GetTrial(study_pb2.GetTrialRequest(name="study", trial=3))
    assert detail.trial.state == study_pb2.TRIAL_STATE_WAITING
    assert json.loads(detail.trial.hyperparameters_json) == {"lr": 0.2, "momentum": 0.9}
    assert sum(part.stop - part.start for part in detail.path) == 3
    nodes = client.studies.GetStageTree(study_pb2.GetStageTreeRequest(name="study")).nodes
    assert sorted(trial for node in nodes for trial in node.ending) == [0, 1, 2, 3]
    with pytest.raises(NotFound):
        client.studies.GetTrial(study_pb2.GetTrialRequest(name="study", trial=4))
    with pytest.raises(NotFound) as none:
        next(client.studies.DownloadCheckpoint(study_pb2.DownloadCheckpointRequest(name="study")))
    assert "no checkpoint" in none.value.message


def test_stopping_a_trial_is_idempotent_and_told(client):
    submit(client)

    def stop(number, trial):
        request = study_pb2.StopTrialRequest(request_id=str(number), name="study", trial=trial)
        return client.studies.StopTrial(request)

    first = stop(2, 3)
    assert (first.stopped, first.trial.number, first.trial.state) == (True, 3, study_pb2.TRIAL_STATE_STOPPED)
    assert first.trial.reason == "stopped by a user"
    assert stop(2, 3) == first
    assert not stop(3, 3).stopped
    with pytest.raises(NotFound, match="no trial 4"):
        stop(4, 4)
    request = study_pb2.ExplainTrialRequest(name="study", trial=3)
    events = client.studies.ExplainTrial(request).events
    assert [(each.event, each.reason) for each in events][2:] == [
        ("request cancelled", ""),
        ("stopped", "stopped by a user"),
    ]
    assert events[3].by == "user admin"
    study = client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study
    assert dict(study.trial_counts) == {"stopped": 1, "waiting": 3}


def test_a_trial_is_extended_beyond_its_study_s_limit(client):
    submit(client)

    def extend(number, to):
        request = study_pb2.ExtendTrialRequest(request_id=str(number), name="study", trial=1, to=to)
        return client.studies.ExtendTrial(request)

    first = extend(2, 7)
    assert (first.extended, first.trial.max_steps, list(first.warnings)) == (True, 7, [])
    assert extend(2, 7) == first
    assert not extend(3, 5).extended
    with pytest.raises(InvalidStudy) as refused:
        extend(4, 0)
    assert refused.value.field == "to"
    events = client.studies.ExplainTrial(study_pb2.ExplainTrialRequest(name="study", trial=1)).events
    assert [(each.event, each.step, each.by) for each in events][-1] == ("extended", 7, "user admin")


def test_a_fork_is_the_next_trial_and_shares_its_parent_s_path(client):
    submit(client)

    def fork(number, **fields):
        given = dump(fields.pop("hyperparameters", {"lr": 0.05}))
        request = study_pb2.ForkTrialRequest(
            request_id=str(number), name="study", hyperparameters_json=given, **fields
        )
        return client.studies.ForkTrial(request).trial

    first = fork(2, trial=1, at=2)
    assert (first.number, first.parent, first.forked_at) == (4, 1, 2)
    assert fork(2, trial=1, at=2) == first
    assert fork(3, trial=1, at=2).number == 5
    parts = [
        client.studies.GetTrial(study_pb2.GetTrialRequest(name="study", trial=number)).path
        for number in (1, 4)
    ]
    assert parts[0][0].node == parts[1][0].node
    assert [(part.start, part.stop) for part in parts[1]] == [(0, 2), (2, 3)]
    for fields, field in (
        ({"trial": 1, "at": 3}, "at"),
        ({"trial": 1, "at": -1}, "at"),
        ({"trial": 1, "at": 1, "hyperparameters": {"nothing": 1}}, "hyperparameters['nothing']"),
        ({"trial": 1, "at": 1, "hyperparameters": {"lr": "x"}}, "hyperparameters['lr']"),
    ):
        with pytest.raises(InvalidStudy) as refused:
            fork(9, **fields)
        assert refused.value.field == field
    with pytest.raises(NotFound):
        fork(9, trial=6, at=1)
    events = client.studies.ExplainTrial(study_pb2.ExplainTrialRequest(name="study", trial=4)).events
    ancestor, created = events[:2]
    assert (ancestor.event, ancestor.step, ancestor.by) == ("ancestor", 0, "sampler grid")
    assert ancestor.reason.startswith("trial 1: ")
    assert (created.event, created.step, created.by) == ("created", 2, "user admin")
    assert created.reason == "forked from trial 1; at most 3 steps"


def test_a_point_of_one_s_own_is_the_next_trial(client):
    submit(client)

    def enqueue(number, point):
        request = study_pb2.EnqueueTrialRequest(request_id=str(number), name="study", point_json=dump(point))
        return client.studies.EnqueueTrial(request).trial

    point = {"lr": 0.1, "momentum": 0.9}
    first = enqueue(2, point)
    assert (first.number, first.max_steps) == (4, 3)
    assert enqueue(2, point) == first
    assert enqueue(3, point).number == 5
    for wrong, field in (
        ({**point, "lr": "x"}, "point['lr']"),
        ({**point, "other": 1}, "point['other']"),
    ):
        with pytest.raises(InvalidStudy) as refused:
            enqueue(9, wrong)
        assert refused.value.field == field
    events = client.studies.ExplainTrial(study_pb2.ExplainTrialRequest(name="study", trial=4)).events
    told = ("created", "enqueued; at most 3 steps", "user admin")
    assert (events[0].event, events[0].reason, events[0].by) == told


def test_a_repeat_gets_the_first_answer_also_after_a_restart(start_server):
    """The answer is kept with the change, byte for byte, though the study has changed since."""
    server = start_server()
    client = server.connect()
    upload(client)
    first = submit(client, "once")
    stop = study_pb2.StopStudyRequest(request_id="stop", name="study")
    stopped = client.studies.StopStudy(stop)
    assert submit(client, "once") == first
    server.stop()
    again = start_server().connect()
    assert submit(again, "once") == first
    assert again.studies.StopStudy(stop) == stopped
    found = again.studies.ListStudies(study_pb2.ListStudiesRequest()).studies
    assert [study.name for study in found] == ["study"]


def test_a_request_id_used_for_something_else_is_a_conflict(client):
    submit(client, "once")
    for call in (
        lambda: submit(client, "once", name="other"),
        lambda: client.studies.StopStudy(study_pb2.StopStudyRequest(request_id="once", name="study")),
    ):
        with pytest.raises(Conflict) as conflict:
            call()
        assert "once" in conflict.value.message


def test_a_change_needs_a_request_id(client):
    for request_id in ("", "x" * 129):
        with pytest.raises(InvalidStudy) as refused:
            submit(client, request_id)
        assert refused.value.field == "request_id"


def test_errors_carry_a_reason_and_a_remedy(server):
    """Any client can read them: a status code, and an ErrorInfo of google.rpc."""
    with grpc.insecure_channel(server.address) as channel:
        from hippo_wire.v1.study_pb2_grpc import StudyServiceStub

        metadata = [("authorization", f"Bearer {server.token('admin')}")]
        with pytest.raises(grpc.RpcError) as refused:
            StudyServiceStub(channel).GetStudy(
                study_pb2.GetStudyRequest(name="none"), timeout=60, metadata=metadata
            )
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    packed = dict(refused.value.trailing_metadata())[DETAILS_KEY]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(packed).details[0].Unpack(info)
    assert (info.reason, info.domain) == ("NOT_FOUND", "hippo")
    assert info.metadata["hint"]


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", '{"name": NaN}', '{"name": 1e999}', "[" * 100_000, '{"unknown": 1}']
)
def test_a_study_that_is_no_study_names_the_field(client, text):
    with pytest.raises(InvalidStudy) as refused:
        client.studies.SubmitStudy(study_pb2.SubmitStudyRequest(request_id="1", spec_json=text))
    assert refused.value.field


def test_a_study_needs_its_bundle_and_a_bundle_its_digest(server):
    connection = server.connect()
    with pytest.raises(InvalidStudy) as missing:
        submit(connection)
    assert missing.value.field == "bundle"
    wrong = study_pb2.UploadBundleRequest(digest="0" * 64, data=b"something else")
    with pytest.raises(InvalidStudy) as refused:
        connection.studies.UploadBundle(iter([wrong]))
    assert refused.value.field == "digest"
    assert not connection.studies.FindBundle(study_pb2.FindBundleRequest(digest="0" * 64)).found
    no_archive = b"hello"
    digest = blake3(no_archive).hexdigest()
    with pytest.raises(InvalidStudy, match="bundle: it is no archive of code"):
        upload(connection, no_archive)
    assert not connection.studies.FindBundle(study_pb2.FindBundleRequest(digest=digest)).found
    for digest in ("../../etc/passwd", "", "x" * 4096):
        with pytest.raises(InvalidStudy):
            connection.studies.FindBundle(study_pb2.FindBundleRequest(digest=digest))


def test_bundles_travel_in_pieces_and_come_back_whole(server, tmp_path):
    connection = server.connect()
    (tmp_path / "weights").write_bytes(bytes(range(256)) * (5 << 12) + b"end")
    built = build(tmp_path)
    archive, digest = built.archive, built.digest
    requests = [study_pb2.UploadBundleRequest(digest=digest)]
    requests += [study_pb2.UploadBundleRequest(data=piece) for piece in pieces([archive])]
    assert connection.studies.UploadBundle(iter(requests)).size_bytes == len(archive)
    found = connection.studies.DownloadBundle(study_pb2.DownloadBundleRequest(digest=digest))
    received = [response.data for response in found]
    assert b"".join(received) == archive
    assert max(map(len, received)) <= 1 << 20
    assert list(server.settings.folder.joinpath("uploads").iterdir()) == []
    with pytest.raises(NotFound):
        next(connection.studies.DownloadBundle(study_pb2.DownloadBundleRequest(digest="0" * 64)))
