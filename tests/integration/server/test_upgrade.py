"""Parts of neighbouring versions work on together while one after the other is upgraded."""

from __future__ import annotations

import pytest

from hippo_core.errors import Conflict, Incompatible, Unavailable
from hippo_server.rpc import gate
from hippo_wire import channel
from hippo_wire.v1 import study_pb2
from tests.integration.server.conftest import RunningServer, submit, upload
from tests.integration.server.test_standby import reasons
from tests.integration.server.test_work import first_lease
from tests.integration.server.worker import Worker, working
from tests.integration.store.test_schema import execute
from tests.waiting import until


def state_of(client):
    return client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study.state


def is_completed(client):
    return state_of(client) == study_pb2.STUDY_STATE_COMPLETED


@pytest.mark.parametrize(("before", "after"), [("0.4.1", "0.5.0"), ("0.5.0", "0.4.9")])
def test_a_worker_of_the_neighbouring_version_goes_on_with_the_other_server(
    start_server, database_url, monkeypatch, before, after
):
    """F28. 1. Server and worker of one version; a path is granted. 2. The server is replaced by one of the version
    after, or before. 3. The worker presents its lease again and trains on; the study ends, and no stage has failed. 4.
    A worker two versions apart hears what to install, and changes nothing."""
    monkeypatch.setattr(gate, "own_version", lambda: before)
    monkeypatch.setattr(channel, "own_version", lambda: before)
    server = start_server()
    client = server.connect()
    upload(client)
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
    server.stop()

    monkeypatch.setattr(gate, "own_version", lambda: after)
    server = start_server()
    client = server.connect()
    worker.connection = server.connect(server.token("worker"))
    worker.register(order.fence)
    stream = worker.open()
    worker.train(order)
    trained = {order.fence}
    for response in stream:
        for each in worker.note(response):
            if each.fence not in trained:  # else it is the one that it holds
                trained.add(each.fence)
                worker.train(each)
        if is_completed(client):
            break
    worker.close()
    stream.cancel()
    assert worker.revoked == []
    assert execute(database_url, "SELECT count(*) FROM failures") == [(0,)]
    assert execute(database_url, f"SELECT report > 0 FROM leases WHERE fence = {order.fence}") == [(True,)]

    monkeypatch.setattr(channel, "own_version", lambda: "0.2.0")
    stranger = Worker(server.connect(server.token("worker")), "stranger")
    with pytest.raises(Incompatible, match=r"needs worker ≥ 0\.[34]; worker is 0\.2\.0.* pip install"):
        stranger.register()


def test_a_standby_of_an_older_schema_does_not_take_the_lead(server, database_url, tmp_path):
    """1. A newer Hippo migrates the database while an older one leads, and another of the older stands by. 2. The
    leader goes on. 3. It ends: the standby does not lead, and says which to install. 4. Nor does one that starts."""
    standby = RunningServer(
        tmp_path / "other", database_url, storage=server.settings.storage, leader_lease_seconds=3.0
    )
    try:
        client = server.connect()
        upload(client)
        until(lambda: "standby" in " ".join(reasons(standby)), "a server that stands by")
        execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
        submit(client)
        ended = standby.server.driver.duties.over
        server.stop()
        until(ended.done, "the end of the standby")
        error = ended.result()
        assert isinstance(error, Conflict)
        assert "of a newer Hippo: its schema is 9999" in str(error)
        with pytest.raises(Unavailable):
            state_of(standby.connect(standby.token("admin")))
    finally:
        standby.stop()
    with pytest.raises(Conflict, match="of a newer Hippo"):
        RunningServer(tmp_path / "third", database_url, storage=server.settings.storage)
