"""S13. What a worker's token may not do: it is denied, and written down."""

from __future__ import annotations

import httpx
import pytest

from hippo_core.errors import InvalidStudy, NotAllowed, NotFound
from hippo_wire.secrets import new_secret, secret_hash
from hippo_wire.v1 import admin_pb2, study_pb2, worker_pb2
from tests.integration.server.conftest import BUNDLE, submit
from tests.integration.server.test_audit import calls
from tests.integration.server.test_roles import EXPECTED, METHODS
from tests.integration.server.test_work import first_lease
from tests.integration.server.worker import Worker, working
from tests.security.test_calls import bearer, call


def test_the_api_of_people_is_closed_to_workers_and_each_try_is_written_down(server, client):
    """Every method that the table does not open to them."""
    import grpc

    token = server.new_token("w", "worker")
    server.new_token("last", "viewer")
    closed = [path for path, roles in EXPECTED.items() if roles is not None and "worker" not in roles]
    with grpc.insecure_channel(server.address) as channel:
        for path in closed:
            assert call(channel, path, b"", bearer(token)).code() is grpc.StatusCode.PERMISSION_DENIED, path
    found = calls(client, len(closed), actor="w", denied=True, page_size=1000)
    assert {each.method for each in found} == {path.rpartition("/")[2] for path in closed}
    assert {each.result for each in found} == {"NOT_ALLOWED"}
    assert len(METHODS) > len(closed) > 20


def test_a_worker_is_itself_and_no_other(server, client):
    """With a token that it got by joining: neither its name nor its stream is another's."""
    joining = server.new_token("pool", "join", uses=2)
    server.new_token("last", "viewer")
    own = new_secret()
    server.connect(joining).workers.JoinPool(
        worker_pb2.JoinPoolRequest(worker="w1", secret_hash=secret_hash(own))
    )
    worker = Worker(server.connect(own), name="w2")
    with pytest.raises(NotAllowed, match="'w1', not for 'w2'"):
        worker.register()
    with pytest.raises(NotAllowed, match="'w1', not for 'w2'"):
        next(worker.open())
    worker.close()
    found = calls(client, 2, actor="worker/w1", denied=True)
    assert [each.method for each in found] == ["RegisterWorker", "Work"]


def test_a_lease_that_no_longer_stands_changes_nothing(server, client):
    """Its reports are told to be void, on this stream and on the next; the trial is trained by who has the new one."""
    submit(client, space={"lr": [0.1]})
    connection = server.connect(server.token("worker"))
    earlier = Worker(connection)
    earlier.register()
    stream = earlier.open()
    order = first_lease(earlier, stream)
    earlier.close()
    stream.cancel()
    again = Worker(connection)  # another life, which holds no lease
    with working(again) as stream:
        newer = first_lease(again, stream)
        assert newer.fence > order.fence
        again.train(order)
        again.train(newer, accuracy=lambda node, step: 0.5)
        again.work(lambda: order.fence in again.revoked and newer.fence in again.acknowledged, stream)
    trial = client.studies.GetTrial(study_pb2.GetTrialRequest(name="study", trial=0)).trial
    assert {each.value for each in trial.metrics} == {0.5}
    metrics = httpx.get(
        f"{server.url}/metrics", headers={"Authorization": f"Bearer {server.token('admin')}"}, timeout=60
    )
    (fenced,) = (line for line in metrics.text.splitlines() if line.startswith("hippo_fenced_writes_total "))
    assert float(fenced.split()[1]) >= 1, "and counted"


def test_tokens_of_workers_are_made_by_administrators_of_the_pool_alone(server, client):
    """Workers see the code of all projects, so that one project's administrator makes none."""
    other = server.connect(server.new_token("boss", "admin", project="vision"))
    server.new_token("last", "viewer")
    for role, uses in (("worker", None), ("join", 3)):
        request = admin_pb2.CreateTokenRequest(name="x", role=role, secret_hash=secret_hash("x"), uses=uses)
        with pytest.raises(NotAllowed, match="workers train for all projects"):
            other.admin.CreateToken(request)
        request.project = "default"
        with pytest.raises(NotAllowed, match="administrator of the project vision"):
            other.admin.CreateToken(request)


def test_another_projects_studies_are_not_there(server, client):
    """Each call that names a study answers as for one that nobody has; a bundle is had by its digest alone."""
    submit(client, name="vision-1")
    other = server.connect(server.new_token("other", "admin", project="vision"))
    server.new_token("last", "viewer")
    assert other.studies.FindBundle(study_pb2.FindBundleRequest(digest=BUNDLE)).found
    for path, method in METHODS.items():
        kind = method.input_type
        if not path.startswith("/hippo.v1.StudyService") or "name" not in kind.fields_by_name:
            continue
        ask = getattr(other.studies, method.name)
        streams = method.client_streaming
        assert refusal(ask, kind, "vision-1", streams) == refusal(ask, kind, "nobody", streams), path


def refusal(method, kind, name, streams):
    """How a call about a study of this name is refused."""
    request = getattr(study_pb2, kind.name)(name=name)
    if "request_id" in kind.fields_by_name:
        request.request_id = f"{kind.name} {name}"
    with pytest.raises((NotFound, InvalidStudy)) as refused:
        asked(method, iter([request]) if streams else request)
    return type(refused.value), str(refused.value).replace(name, "NAME")


def asked(method, request):
    """Calls, and reads the first of what is streamed."""
    answer = method(request, timeout=60)
    return answer if hasattr(answer, "DESCRIPTOR") else next(answer)
