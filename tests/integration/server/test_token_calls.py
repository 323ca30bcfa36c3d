"""Tokens over the wire: made, listed, revoked, and got by workers that join."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hippo_core.errors import Conflict, InvalidStudy, NotAllowed, NotFound
from hippo_wire.connection import Connection
from hippo_wire.secrets import new_secret, secret_hash
from hippo_wire.v1 import admin_pb2, study_pb2, worker_pb2
from tests.waiting import until


def make(
    client: Connection, name: str, role: str = "editor", secret: str | None = None, **more: object
) -> str:
    secret = secret or new_secret()
    request = admin_pb2.CreateTokenRequest(name=name, role=role, secret_hash=secret_hash(secret), **more)
    client.admin.CreateToken(request)
    return secret


def listed(client: Connection) -> dict[str, admin_pb2.Token]:
    return {each.name: each for each in client.admin.ListTokens(admin_pb2.ListTokensRequest()).tokens}


def who(server, secret: str) -> tuple[str, str, str]:
    said = server.connect(secret).admin.GetServer(admin_pb2.GetServerRequest())
    return said.user, said.role, said.project


def register(server, secret: str, worker: str) -> None:
    connection = server.connect(secret)
    connection.workers.RegisterWorker(
        worker_pb2.RegisterWorkerRequest(
            request_id=f"{worker}-{secret[-6:]}", worker=worker, incarnation="1", host="h", environment_json="{}",
            slots=[worker_pb2.Slot(device=worker_pb2.DEVICE_KIND_CPU, model="m", cpu_count=1)],
        )
    )  # fmt: skip


@pytest.fixture
def admin(server):
    return server.connect()


def test_a_token_is_valid_at_once_and_its_secret_is_nowhere(server, admin):
    secret = make(admin, "ada", "viewer", project="vision", lifetime_seconds=3600)
    assert who(server, secret) == ("ada", "viewer", "vision")
    found = listed(admin)["ada"]
    assert (found.role, found.project) == ("viewer", "vision")
    assert timedelta(0) < found.expire_time.ToDatetime(UTC) - datetime.now(UTC) <= timedelta(hours=1)
    with server.store._database.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM tokens WHERE secret_hash = %s", (secret_hash(secret),))
        assert cursor.fetchone() == (1,)
        cursor.execute("SELECT string_agg(t::text, ' ') FROM tokens t")
        assert secret not in cursor.fetchone()[0]


def test_the_last_administrator_stays(server, admin):
    """1. The only one of the project default is not revoked though another project has one. 2. With
    a second one it is."""
    make(admin, "vi", "admin", project="vision")
    last = next(name for name, each in listed(admin).items() if each.role == "admin" and name != "vi")
    with pytest.raises(Conflict, match="last token of an administrator"):
        admin.admin.RevokeToken(admin_pb2.RevokeTokenRequest(name=last))
    second = server.connect(make(admin, "second", "admin"))
    second.admin.RevokeToken(admin_pb2.RevokeTokenRequest(name=last))
    assert listed(second)[last].HasField("revoke_time")


def test_a_call_that_is_repeated_makes_one_token(server, admin):
    secret = make(admin, "ada")
    assert make(admin, "ada", secret=secret) == secret
    assert list(listed(admin)).count("ada") == 1
    with pytest.raises(Conflict, match="a token named 'ada' exists"):
        make(admin, "ada")
    with pytest.raises(Conflict):
        make(admin, "bob", secret=secret)


def test_the_name_of_a_token_that_has_ended_is_free(server, admin):
    old = make(admin, "ada")
    admin.admin.RevokeToken(admin_pb2.RevokeTokenRequest(name="ada"))
    with pytest.raises(NotAllowed):
        who(server, old)
    assert who(server, make(admin, "ada", "viewer")) == ("ada", "viewer", "default")
    with pytest.raises(NotAllowed):
        who(server, old)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "worker/w"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"project": "a b"}, "project"),
        ({"role": "root"}, "role"),
        ({"secret_hash": "hippo_plain"}, "secret_hash"),
        ({"lifetime_seconds": 0}, "expires"),
        ({"lifetime_seconds": -1}, "expires"),
        ({"lifetime_seconds": 1 << 62}, "expires"),
        ({"uses": 3}, "uses"),
        ({"role": "join"}, "uses"),
        ({"role": "join", "uses": 0}, "uses"),
        ({"role": "join", "uses": 10_001}, "uses"),
    ],
)
def test_what_cannot_be_a_token_is_refused_by_name(admin, change, field):
    fields = {"name": "ada", "role": "editor", "secret_hash": secret_hash("x")} | change
    with pytest.raises(InvalidStudy) as refused:
        admin.admin.CreateToken(admin_pb2.CreateTokenRequest(**fields))
    assert refused.value.field == field
    assert "ada" not in listed(admin)


def test_administrators_of_a_project_manage_its_tokens_and_no_others(server, admin):
    ours = make(admin, "ada", "editor")
    theirs = server.connect(make(admin, "boss", "admin", project="vision"))
    make(theirs, "bob", "editor")
    assert listed(theirs).keys() == {"boss", "bob"}
    assert listed(theirs)["bob"].project == "vision"
    with pytest.raises(NotAllowed, match="administrator of the project vision, not of default"):
        make(theirs, "eve", "admin", project="default")
    with pytest.raises(NotFound):
        theirs.admin.RevokeToken(admin_pb2.RevokeTokenRequest(name="ada"))
    assert who(server, ours) == ("ada", "editor", "default")
    assert listed(admin).keys() >= {"ada", "boss", "bob"}


def test_revoking_ends_open_streams(server, client, monkeypatch):
    monkeypatch.setattr("hippo_server.rpc.gate.LOOK_SECONDS", 0.02)
    from tests.integration.server.conftest import submit

    submit(client)
    secret = make(client, "ada", "viewer")
    stream = server.connect(secret).studies.WatchStudy(study_pb2.WatchStudyRequest(name="study"))
    next(stream)
    others = server.connect().studies.WatchStudy(study_pb2.WatchStudyRequest(name="study"))
    next(others)
    client.admin.RevokeToken(admin_pb2.RevokeTokenRequest(name="ada"))
    with pytest.raises(NotAllowed, match="a valid token is needed"):
        for _ in stream:
            pass
    client.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id="pause", name="study"))
    assert next(others).study.state == study_pb2.STUDY_STATE_PAUSED


def test_workers_join_as_often_as_allowed_and_each_as_itself(server, admin):
    joining = make(admin, "pool", "join", uses=2)
    with server_call(server, joining) as connection:
        own = new_secret()
        for _ in range(3):  # an answer that was lost
            connection.workers.JoinPool(worker_pb2.JoinPoolRequest(worker="w1", secret_hash=secret_hash(own)))
        assert listed(admin)["pool"].uses_left == 1
        register(server, own, "w1")
        with pytest.raises(NotAllowed, match="for the worker 'w1', not for 'w2'"):
            register(server, own, "w2")
        with pytest.raises(NotAllowed):
            who_lists(server, own)
        second = new_secret()
        connection.workers.JoinPool(worker_pb2.JoinPoolRequest(worker="w2", secret_hash=secret_hash(second)))
        with pytest.raises(NotAllowed, match="no more workers may join"):
            connection.workers.JoinPool(
                worker_pb2.JoinPoolRequest(worker="w3", secret_hash=secret_hash(new_secret()))
            )
        with pytest.raises(NotAllowed):
            connection.admin.GetServer(admin_pb2.GetServerRequest())
    register(server, second, "w2")


def test_a_worker_that_joins_anew_takes_its_own_place_but_nobody_elses(server, admin):
    joining = make(admin, "pool", "join", uses=5)
    first, second, third = new_secret(), new_secret(), new_secret()
    with server_call(server, joining) as connection:

        def join(secret: str) -> None:
            connection.workers.JoinPool(
                worker_pb2.JoinPoolRequest(worker="w1", secret_hash=secret_hash(secret))
            )

        join(first)
        join(second)
        register(server, second, "w1")
        with pytest.raises(Conflict, match="a worker 'w1' is at work on h with a token of its own"):
            join(third)
        assert listed(admin)["pool"].uses_left == 3
        join(second)
        admin.admin.RevokeToken(admin_pb2.RevokeTokenRequest(name="worker/w1"))
        join(third)
    register(server, third, "w1")
    second = first
    with pytest.raises(NotAllowed, match="a valid token"):
        register(server, first, "w1")


def test_a_revoked_worker_is_told_on_its_stream(server, admin, monkeypatch):
    monkeypatch.setattr("hippo_server.rpc.gate.LOOK_SECONDS", 0.02)
    secret = make(admin, "w", "worker")
    register(server, secret, "w")
    open_end = True

    def requests():
        yield worker_pb2.WorkRequest(worker="w", incarnation="1", heartbeat=True)
        until(lambda: not open_end, "the end")

    stream = server.connect(secret).workers.Work(requests())
    admin.admin.RevokeToken(admin_pb2.RevokeTokenRequest(name="w"))
    try:
        with pytest.raises(NotAllowed):
            for _ in stream:
                pass
    finally:
        open_end = False


def server_call(server, secret: str) -> Connection:
    return Connection(server.address, secret)


def who_lists(server, secret: str) -> None:
    server.connect(secret).studies.ListStudies(study_pb2.ListStudiesRequest())
