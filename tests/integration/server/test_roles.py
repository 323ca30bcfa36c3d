"""Who may call what: every method that the descriptors name, with every kind of token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from hippo_server.auth.roles import METHOD_ROLES, OPEN_METHODS
from hippo_wire.v1 import account_pb2, admin_pb2, checkpoint_pb2, study_pb2, worker_pb2

VIEWERS = {"viewer", "editor", "admin"}
EDITORS = {"editor", "admin"}
STUDIES, WORKERS, ADMIN, CHECKPOINTS, ACCOUNTS = (
    f"/hippo.v1.{service}/"
    for service in ("StudyService", "WorkerService", "AdminService", "CheckpointService", "AccountService")
)
#: Written out a second time, so that a change of the table is a change of this one.
READ = (
    "GetStudy ListStudies WatchStudy ListTrials ListResults GetTrial ExplainTrial GetStageTree ExportStudy "
    "ReadTrialLog ListPrograms "
    "DownloadCheckpoint"
)
CHANGE = (
    "SubmitStudy PauseStudy ResumeStudy StopStudy ExtendStudy EditStudy RetryTrials DeleteStudy UploadBundle StopTrial "
    "ExtendTrial ForkTrial EnqueueTrial AskPoints ForgetProgram ExportArchive ImportStudy"
)
EXPECTED = {
    **{STUDIES + name: VIEWERS for name in READ.split()},
    **{STUDIES + name: EDITORS for name in CHANGE.split()},
    CHECKPOINTS + "ListCheckpoints": VIEWERS,
    **{CHECKPOINTS + name: EDITORS for name in ("PinCheckpoint", "UnpinCheckpoints", "CollectCheckpoints")},
    **{ACCOUNTS + name: VIEWERS for name in ("ListProjects", "ListUsers", "ListBills")},
    **{ACCOUNTS + name: {"admin"} for name in ("CreateProject", "DeleteProject", "EditAccount")},
    STUDIES + "FindBundle": EDITORS | {"worker"},
    STUDIES + "DownloadBundle": EDITORS | {"worker"},
    **{WORKERS + name: {"worker"} for name in ("RegisterWorker", "Work", "AppendLog")},
    ADMIN + "GetServer": VIEWERS | {"worker"},
    ADMIN + "ListWorkers": VIEWERS,
    ADMIN + "CreateLoginLink": VIEWERS,
    **{
        ADMIN + name: {"admin"}
        for name in (
            "DrainWorker",
            "CordonWorker",
            "UncordonWorker",
            "CreateToken",
            "ListTokens",
            "RevokeToken",
            "ListCalls",
        )
    },
    WORKERS + "JoinPool": {"join"},
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": VIEWERS | {"worker"},
    "/grpc.health.v1.Health/Check": None,
    "/grpc.health.v1.Health/Watch": None,
}
FILES = (account_pb2, study_pb2, worker_pb2, admin_pb2, checkpoint_pb2, health_pb2, reflection_pb2)
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if not (file is health_pb2 and method.name == "List")
}
REFUSALS = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


def call(channel: grpc.Channel, path: str, token: str | None) -> grpc.StatusCode:
    """Calls a method with an empty message; tells how it ended."""
    method = METHODS[path]
    kinds = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }
    kind = kinds[method.client_streaming, method.server_streaming]
    behaviour = kind(path, request_serializer=lambda data: data, response_deserializer=lambda data: data)
    metadata = [] if token is None else [("authorization", f"Bearer {token}")]
    request = iter([b""]) if method.client_streaming else b""
    try:
        answer = behaviour(request, timeout=60, metadata=metadata)
        if method.server_streaming:
            next(answer, None)
            answer.cancel()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_the_tables_name_exactly_the_methods_that_exist():
    """S02. A new method has to be put into both tables."""
    assert METHODS.keys() == EXPECTED.keys()
    assert METHODS.keys() == METHOD_ROLES.keys() | OPEN_METHODS


def test_each_method_lets_in_those_of_the_table_and_nobody_else(server):
    """S02. Every method times no token, a wrong, an expired, a revoked one, and one of each role."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    expired = server.new_token("expired", "admin", expires_at=past)
    server.new_token("revoked", "admin")
    server.store.revoke_token("revoked")
    revoked = server.new_token("revoked-too", "admin")
    server.store.revoke_token("revoked-too")
    tokens = {role: server.token(role) for role in ("viewer", "editor", "admin", "worker", "join")}
    strangers = [None, "", "hippo_wrong", expired, revoked, tokens["admin"][:-1], tokens["admin"] + "x"]
    found = {}
    with grpc.insecure_channel(server.address) as channel:
        server.new_token("last", "viewer")  # the server's book is as the database is
        for path in METHODS:
            for stranger in strangers:
                code = call(channel, path, stranger)
                expected = EXPECTED[path] is not None
                assert (code is grpc.StatusCode.UNAUTHENTICATED) is expected, (path, stranger, code)
            found[path] = {role for role in tokens if call(channel, path, tokens[role]) not in REFUSALS}
    everybody = set(tokens)
    assert found == {path: everybody if roles is None else roles for path, roles in EXPECTED.items()}


def test_a_call_without_a_deadline_is_refused(server):
    """A caller that would wait for ever is told so, by name."""
    with grpc.insecure_channel(server.address) as channel:
        method = channel.unary_unary(
            STUDIES + "ListStudies",
            request_serializer=study_pb2.ListStudiesRequest.SerializeToString,
            response_deserializer=study_pb2.ListStudiesResponse.FromString,
        )
        metadata = [("authorization", f"Bearer {server.token('admin')}")]
        with pytest.raises(grpc.RpcError) as refused:
            method(study_pb2.ListStudiesRequest(), metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "deadline" in refused.value.details()


def test_projects_do_not_see_each_other(server, client):
    """A token of another project finds no study, whatever its role, and may use the name itself."""
    from hippo_core.errors import NotFound
    from tests.integration.server.conftest import submit

    submit(client)
    other = server.connect(server.new_token("other", "admin", project="other"))
    with pytest.raises(NotFound):
        other.studies.GetStudy(study_pb2.GetStudyRequest(name="study"))
    assert not other.studies.ListStudies(study_pb2.ListStudiesRequest()).studies
    assert submit(other, request_id="second").outcome == study_pb2.SUBMIT_OUTCOME_CREATED
    assert submit(client, request_id="third").outcome == study_pb2.SUBMIT_OUTCOME_UNCHANGED
