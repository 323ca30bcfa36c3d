"""Projects, users, limits and bills over the wire: who sees what, what is refused, and who pays."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from hippo_core.errors import Conflict, HippoError, InvalidStudy, NotAllowed, NotFound
from hippo_wire.connection import Connection
from hippo_wire.v1 import account_pb2, admin_pb2, study_pb2
from tests.integration.server.conftest import RunningServer, submit, upload
from tests.integration.server.test_work import ended, study
from tests.integration.server.worker import Worker, working


def create(client: Connection, project: str) -> account_pb2.CreateProjectResponse:
    request = account_pb2.CreateProjectRequest(request_id=uuid.uuid4().hex, project=project)
    return client.accounts.CreateProject(request)


def delete(client: Connection, project: str) -> None:
    request = account_pb2.DeleteProjectRequest(request_id=uuid.uuid4().hex, project=project)
    client.accounts.DeleteProject(request)


def edit(client: Connection, project: str, user: str, **changes: Any) -> dict[str, Any]:
    request = account_pb2.EditAccountRequest(
        request_id=uuid.uuid4().hex, project=project, user=user, changes_json=json.dumps(changes)
    )
    return dict(json.loads(client.accounts.EditAccount(request).account.allowance_json))


def projects(client: Connection) -> list[str]:
    found = client.accounts.ListProjects(account_pb2.ListProjectsRequest()).accounts
    return [each.project for each in found]


def users(client: Connection, project: str = "") -> dict[str, account_pb2.Account]:
    found = client.accounts.ListUsers(account_pb2.ListUsersRequest(project=project)).accounts
    return {each.user: each for each in found}


def bills(client: Connection) -> dict[tuple[str, str], account_pb2.Bill]:
    found = client.accounts.ListBills(account_pb2.ListBillsRequest()).bills
    return {(each.user, each.study): each for each in found}


def test_a_project_is_made_given_limits_and_deleted_when_it_is_empty(server: RunningServer) -> None:
    admin = server.connect()
    assert projects(admin) == ["default"]
    assert create(admin, "vision").created
    assert not create(admin, "vision").created
    assert edit(admin, "vision", "", weight=2, max_slots=8)["max_slots"] == 8
    assert edit(admin, "vision", "", max_slots=None) == {
        **dict.fromkeys(
            (
                "max_studies",
                "max_open_trials",
                "max_slots",
                "max_slot_seconds",
                "max_priority",
                "max_checkpoint_bytes",
            )
        ),
        "weight": 2,
    }
    editor = server.connect(server.new_token("eve", "editor", "vision"))
    upload(editor)
    submit(editor)
    with pytest.raises(Conflict, match="has tokens that are valid: eve"):
        delete(admin, "vision")
    server.store.revoke_token("eve")
    with pytest.raises(Conflict, match="has the study 'study'"):
        delete(admin, "vision")
    boss = server.connect(server.new_token("boss", "admin", "vision"))
    boss.studies.StopStudy(study_pb2.StopStudyRequest(request_id="stop", name="study"))
    boss.studies.DeleteStudy(study_pb2.DeleteStudyRequest(request_id="delete", name="study"))
    server.store.revoke_token("boss")
    delete(admin, "vision")
    assert projects(admin) == ["default"]
    with pytest.raises(Conflict, match="always there"):
        delete(admin, "default")
    with pytest.raises(InvalidStudy, match="a project cannot be called"):
        create(admin, "../vision")


def test_of_other_projects_nothing_is_seen(server: RunningServer, client: Connection) -> None:
    """An administrator of a project hears of no other, whether or not it is there, and raises no own limits."""
    submit(client)
    server.new_token("ada", "editor")
    other = server.connect(server.new_token("boss", "admin", "vision"))
    create(server.connect(), "vision")
    assert projects(other) == ["vision"]
    assert list(users(other)) == ["boss"]
    assert bills(other) == {}
    told = []
    for project in ("default", "none"):
        for ask in (
            lambda name: users(other, name),
            lambda name: edit(other, name, "ada", weight=9),
            lambda name: edit(other, name, "", weight=9),
            lambda name: create(other, name),
            lambda name: delete(other, name),
        ):
            with pytest.raises(NotFound) as refused:
                ask(project)
            told.append(str(refused.value).replace(project, "PROJECT"))
    assert len(set(told)) == 1
    with pytest.raises(NotAllowed, match="may not change what it may use"):
        edit(other, "vision", "", weight=9)
    assert edit(other, "vision", "boss", weight=3)["weight"] == 3
    with pytest.raises(NotFound, match="there is no user 'nobody'"):
        edit(other, "vision", "nobody", weight=3)
    viewer = server.connect(server.new_token("vera", "viewer"))
    assert projects(viewer) == ["default"]
    with pytest.raises(NotFound):
        users(viewer, "vision")


def test_slots_of_other_projects_are_busy_and_no_more_is_told(
    server: RunningServer, client: Connection
) -> None:
    submit(client)
    viewers = {
        project: server.connect(server.new_token(f"v-{project}", "viewer", project))
        for project in ("default", "vision")
    }
    worker = Worker(server.connect(server.token("worker")), slots=1)
    with working(worker) as stream:
        for response in stream:
            if worker.note(response):
                break
        seen = {
            project: viewer.admin.ListWorkers(admin_pb2.ListWorkersRequest()).workers[0].slots[0]
            for project, viewer in viewers.items()
        }
    assert (seen["default"].study, seen["default"].user) == ("study", "admin")
    assert (seen["vision"].study, seen["vision"].user) == ("", "")
    assert seen["vision"].HasField("fence")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_studies": 0}, "user admin has 0 studies that run or are paused, and may have 0"),
        ({"max_open_trials": 3}, "4 more trials are too many: user admin has 0 open ones, and may have 3"),
        ({"max_slot_seconds": 0}, "user admin has used 0 slot hours of 0"),
        ({"max_priority": -1}, "priority 0 is too high: user admin may have -1"),
    ],
)
def test_what_is_too_much_is_refused_with_the_limit_and_the_remedy(
    server: RunningServer, client: Connection, changes: dict[str, Any], told: str
) -> None:
    edit(client, "default", "admin", **changes)
    with pytest.raises(Conflict, match=told) as refused:
        submit(client)
    assert "hippo user edit admin --max-" in str(refused.value)
    edit(client, "default", "admin", **dict.fromkeys(changes))
    submit(client, "again")


def test_a_limit_that_makes_no_sense_is_refused(client: Connection) -> None:
    for changes in (
        {"weight": 0},
        {"max_slots": -1},
        {"max_slots": 1.5},
        {"max_time": 3},
        {"weight": "heavy"},
    ):
        with pytest.raises(InvalidStudy):
            edit(client, "default", "", **changes)
    with pytest.raises(InvalidStudy, match="is for projects"):
        edit(client, "default", "admin", max_checkpoint_bytes=10)


def test_two_users_share_a_worker_and_pay_half_of_what_they_share(server: RunningServer) -> None:
    """1. Two users submit the same trials; one of them further ones. 2. One worker trains all. 3. Each pays for half of
    what both wait for, and alone for what is alone; the bills outlive the server, and a deleted study."""
    people = {name: server.connect(server.new_token(name, "editor")) for name in ("ada", "bo")}
    for name, connection in people.items():
        upload(connection)
        submit(connection, name, name=name)
    submit(people["bo"], "more", name="more", space={"lr": [0.5], "momentum": [0.8]})
    worker = Worker(server.connect(server.token("worker")), slots=2)
    with working(worker) as stream:
        worker.work(lambda: all(ended(people["ada"], name) for name in ("ada", "bo", "more")), stream)
    admin = server.connect()
    found = bills(admin)
    assert found.keys() == {("ada", "ada"), ("bo", "bo"), ("bo", "more")}
    total = sum(study(admin, name).savings.seconds_trained for name in ("ada", "more"))
    paid = {key: each.slot_microseconds / 1e6 for key, each in found.items()}
    assert sum(paid.values()) == pytest.approx(total, abs=1e-5)
    assert paid["ada", "ada"] == pytest.approx(paid["bo", "bo"], abs=1e-5)
    assert found["ada", "ada"].seconds_saved == pytest.approx(paid["ada", "ada"], abs=1e-5)
    people["ada"].studies.DeleteStudy(study_pb2.DeleteStudyRequest(request_id="delete", name="ada"))
    after = bills(admin)["ada", "ada"]
    assert after.deleted
    assert after.slot_microseconds == found["ada", "ada"].slot_microseconds
    with server.store._database.transaction() as cursor:
        cursor.execute("SELECT name, billed FROM accounts WHERE project = 'default' ORDER BY name")
        billed = dict(cursor.fetchall())
    assert (
        billed[""] == billed["ada"] + billed["bo"] == sum(each.slot_microseconds for each in found.values())
    )


def test_a_study_pauses_when_the_slot_seconds_are_used_up_and_goes_on_when_there_are_more(
    server: RunningServer, client: Connection
) -> None:
    submit(client)
    edit(client, "default", "", max_slot_seconds=0.001)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        worker.work(lambda: study(client).state == study_pb2.STUDY_STATE_PAUSED, stream)
        assert "project default has used" in study(client).reason
        assert "hippo project edit default --max-slot-hours" in study(client).reason
        resume = study_pb2.ResumeStudyRequest(request_id="resume", name="study")
        with pytest.raises(Conflict, match="has used"):
            client.studies.ResumeStudy(resume)
        edit(client, "default", "", max_slot_seconds=None)
        client.studies.ResumeStudy(study_pb2.ResumeStudyRequest(request_id="again", name="study"))
        worker.work(lambda: ended(client), stream)
    assert dict(study(client).trial_counts) == {"completed": 4}


def test_a_study_that_waits_says_for_what(server: RunningServer) -> None:
    """With a limit of no slot at once it names the limit; a repeated request gets the first answer."""
    admin = server.connect()
    upload(admin)
    edit(admin, "default", "", max_slots=0)
    submit(admin)
    worker = Worker(server.connect(server.token("worker")))
    worker.register()
    assert study(admin).reason == "project default may have 0 slots at once (max_slots)"
    trial = admin.studies.GetTrial(study_pb2.GetTrialRequest(name="study", trial=0)).trial
    assert trial.reason == "project default may have 0 slots at once (max_slots)"
    assert users(admin)["admin"].waits == "project default may have 0 slots at once (max_slots)"
    request = account_pb2.EditAccountRequest(
        request_id="same", project="default", changes_json='{"max_slots": 1}'
    )
    first = admin.accounts.EditAccount(request)
    edit(admin, "default", "", max_slots=5)
    assert admin.accounts.EditAccount(request) == first
    request.changes_json = "{"
    with pytest.raises(HippoError):
        admin.accounts.EditAccount(request)
