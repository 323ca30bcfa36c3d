"""The audit log: what changes something and what was refused, from where, and never a secret; and it only grows."""

from __future__ import annotations

import pytest

from hippo_core.errors import HippoError, InvariantViolated, NotAllowed, Unavailable
from hippo_wire.secrets import secret_hash
from hippo_wire.v1 import admin_pb2, study_pb2
from tests.integration.server.conftest import submit
from tests.waiting import until


def calls(client, count, **asked):
    """The log, once it has so many calls, oldest first: each (token, method, subject, result)."""
    found = []

    def there():
        nonlocal found
        found = list(client.admin.ListCalls(admin_pb2.ListCallsRequest(**asked)).calls)
        return len(found) >= count

    until(there, f"{count} calls in the log")
    return found[::-1]


def shown(found):
    return [(each.actor, each.method, each.subject, each.result) for each in found]


def test_what_changes_something_is_there_and_what_reads_is_not(server, client):
    submit(client, request_id="once")
    client.studies.ListStudies(study_pb2.ListStudiesRequest())
    client.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id="p", name="study"))
    with pytest.raises(HippoError):
        client.studies.StopStudy(study_pb2.StopStudyRequest(request_id="s", name="none"))
    found = calls(client, 4)
    assert shown(found) == [
        ("admin", "UploadBundle", "", "OK"),
        ("admin", "SubmitStudy", "study", "OK"),
        ("admin", "PauseStudy", "study", "OK"),
        ("admin", "StopStudy", "none", "NOT_FOUND"),
    ]
    assert found[2].request_id == "p"
    assert len(found[2].digest) == 64
    assert found[2].peer.startswith("ipv4:127.0.0.1:")
    assert (found[2].role, found[2].project) == ("admin", "default")


def test_what_was_refused_is_there_with_whoever_asked(server, client):
    viewer = server.connect(server.token("viewer"))
    for connection in (viewer, server.connect("hippo_wrong"), server.connect(server.token("worker"))):
        with pytest.raises(NotAllowed):
            connection.studies.StopStudy(study_pb2.StopStudyRequest(request_id="s", name="study"))
    with pytest.raises(NotAllowed):
        server.connect("hippo_wrong").studies.ListStudies(study_pb2.ListStudiesRequest())
    assert shown(calls(client, 4, denied=True)) == [
        ("viewer", "StopStudy", "study", "NOT_ALLOWED"),
        ("", "StopStudy", "", "UNAUTHENTICATED"),
        ("worker", "StopStudy", "study", "NOT_ALLOWED"),
        ("", "ListStudies", "", "UNAUTHENTICATED"),
    ]
    assert shown(calls(client, 1, actor="viewer")) == [("viewer", "StopStudy", "study", "NOT_ALLOWED")]


def test_pages_and_projects(server, client):
    for number in range(5):
        request = admin_pb2.CreateTokenRequest(
            name=f"t{number}", role="admin", project=f"p{number}", secret_hash=secret_hash(f"{number}")
        )
        client.admin.CreateToken(request)
    found = calls(client, 6)
    first = client.admin.ListCalls(admin_pb2.ListCallsRequest(page_size=4))
    second = client.admin.ListCalls(admin_pb2.ListCallsRequest(page_size=4, page_token=first.next_page_token))
    assert [each.id for each in [*first.calls, *second.calls]] == [each.id for each in found[::-1]]
    other = server.connect("3")
    assert not other.admin.ListCalls(admin_pb2.ListCallsRequest()).calls
    other.admin.RevokeToken(admin_pb2.RevokeTokenRequest(name="t3"))
    assert shown(calls(client, 1, actor="t3")) == [("t3", "RevokeToken", "t3", "OK")]


def test_it_only_grows(server, client):
    calls(client, 1)
    for statement in ("UPDATE audit SET actor = ''", "DELETE FROM audit", "TRUNCATE audit"):
        with (
            pytest.raises(InvariantViolated, match="only grows"),
            server.store._database.transaction() as cursor,
        ):
            cursor.execute(statement)
    assert calls(client, 1)


def test_calls_wait_while_the_database_is_away(server, client):
    calls(client, 1)
    audit = server.server._audit
    write, audit._write = audit._write, lambda calls: (_ for _ in ()).throw(Unavailable("away"))
    client.studies.FindBundle(study_pb2.FindBundleRequest(digest="0" * 64))
    submit(client, request_id="meanwhile")
    audit._write = write
    assert shown(calls(client, 2))[1:] == [("admin", "SubmitStudy", "study", "OK")]
