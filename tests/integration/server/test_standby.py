"""Two servers on one database, and a database that can do less than it should."""

from __future__ import annotations

import contextlib
import threading

import grpc
import httpx
import psycopg2
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hippo_core.errors import HippoError, Incompatible, NotAllowed, Standby, TooManyCalls, Unavailable
from hippo_server.store import Store
from hippo_wire.channel import token_metadata
from hippo_wire.errors import from_rpc_error
from hippo_wire.secrets import new_secret, secret_hash
from hippo_wire.v1 import admin_pb2, study_pb2
from hippo_wire.v1.admin_pb2_grpc import AdminServiceStub
from hippo_wire.v1.worker_pb2_grpc import WorkerServiceStub
from hippo_wire.versions import HEADER
from tests.integration.server.conftest import RunningServer, submit, upload
from tests.integration.server.test_work import ended, first_lease
from tests.integration.server.worker import Worker, working
from tests.integration.store.test_schema import execute
from tests.waiting import until


def about(server, token, *more):
    """One attempt to ask a server about itself, with a token and more metadata."""
    with grpc.insecure_channel(server.address) as channel:
        try:
            metadata = (*token_metadata(token), *more)
            return AdminServiceStub(channel).GetServer(
                admin_pb2.GetServerRequest(), timeout=30, metadata=metadata
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error


def health(server):
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return stub.Check(health_pb2.HealthCheckRequest(), timeout=30).status


def reasons(server):
    found = httpx.get(f"{server.url}/readyz", timeout=60)
    assert (found.status_code == 200) == (found.json()["reasons"] == [])
    return found.json()["reasons"]


@contextlib.contextmanager
def beside(server, database_url, home, leader_lease_seconds):
    """Another server on the same database, which stands by."""
    made = RunningServer(
        home, database_url, storage=server.settings.storage, leader_lease_seconds=leader_lease_seconds
    )
    yield made
    made.stop()


@pytest.fixture
def standby(server, database_url, tmp_path):
    with beside(server, database_url, tmp_path / "other", 9.0) as made:
        yield made


def test_a_standby_answers_nothing_but_who_leads(server, standby):
    """Health checks and /readyz say so to everybody; where the leader is, only callers with a token hear."""
    leader = server.server.driver._holder
    assert reasons(standby) == [f"standby: {leader} leads"]
    assert httpx.get(f"{standby.url}/livez", timeout=60).status_code == 200
    assert health(standby) == health_pb2.HealthCheckResponse.NOT_SERVING
    assert health(server) == health_pb2.HealthCheckResponse.SERVING
    for role in ("admin", "worker"):
        with pytest.raises(Standby) as refused:
            about(standby, server.token(role))
        assert (refused.value.holder, refused.value.address) == (leader, server.address)
    with pytest.raises(NotAllowed):
        about(standby, "hippo_nobody")


def test_a_standby_whose_database_is_silent_says_so(server, standby, monkeypatch):
    """Else one server that stands by hides from those who watch all that the database hangs."""
    answering = threading.Event()
    lead = standby.store.lead

    def wait(*arguments):
        assert answering.wait(90)
        return lead(*arguments)

    def said():
        found = httpx.get(f"{standby.url}/readyz", timeout=60).json()["checks"]["database"]
        return found, standby.server.driver.metrics.registry.get_sample_value("hippo_db_up")

    assert said() == ("ok", 1.0)
    monkeypatch.setattr(standby.store, "lead", wait)
    try:
        until(lambda: said() == ("it does not answer", 0.0), "word of a silent database")
    finally:
        answering.set()
    until(lambda: said() == ("ok", 1.0), "word of one that answers")


def test_the_leader_tells_since_when_it_leads_and_who_stands_by(server, standby):
    token = server.token("admin")
    found = until(lambda: answer if (answer := about(server, token)).standbys else None, "the standby's word")
    assert found.holder == server.server.driver._holder
    assert found.lead_time.seconds > 0
    assert [each.address for each in found.standbys] == [standby.address]
    server.stop()
    until(lambda: reasons(standby) == [], "the lead")
    found = until(
        lambda: None if (answer := about(standby, token)).standbys else answer, "an end of its word"
    )
    assert found.term == 2


def test_tokens_of_both_homes_are_valid_at_whoever_leads(server, standby):
    """A second server's home does not take the first one's tokens from it."""
    tokens = [each.token(role) for each in (server, standby) for role in ("admin", "worker")]
    assert len(set(tokens)) == 4
    for token in tokens:
        until(lambda token=token: knows(server, token), "a token that is known")
    server.stop()
    until(lambda: reasons(standby) == [], "the lead")
    assert [about(standby, token).role for token in tokens] == ["admin", "worker"] * 2


def counts(server, hashed):
    """Whether a server takes a token, by its digest, for valid."""
    with contextlib.suppress(NotAllowed):
        return server.server.driver.tokens.holder(hashed) is not None
    return False


class RevokingStore(Store):
    """A store one of whose tokens is revoked just after the tokens were read with the state."""

    def find_sessions(self):
        self.revoke_token("viewer")
        return super().find_sessions()


def test_a_token_that_is_revoked_while_a_server_reads_its_state_counts_no_more(
    start_server, database_url, monkeypatch
):
    """Not even until the server hears of tokens as it renews its lead, which is long hence."""
    first = start_server()
    leaked = secret_hash(first.token("viewer"))
    first.stop()
    server = start_server(make_store=RevokingStore, leader_lease_seconds=900.0)
    until(lambda: not counts(server, leaked), "word of the revocation")
    assert counts(server, secret_hash(server.token("admin")))


def test_who_stood_by_says_so_no_more_when_it_leads_though_the_database_failed_it(
    server, database_url, tmp_path, monkeypatch
):
    said = "SELECT address FROM standbys"
    with beside(server, database_url, tmp_path / "other", 9.0) as standby:
        until(lambda: execute(database_url, said) == [(standby.address,)], "the standby's word")
        away = threading.Event()
        away.set()
        lead = standby.store.lead

        def fail(*arguments):
            if away.is_set():
                raise Unavailable("no database there.")
            return lead(*arguments)

        monkeypatch.setattr(standby.store, "lead", fail)
        until(lambda: standby.server.driver.standby is None, "a failure to look")
        server.stop()
        away.clear()
        until(lambda: reasons(standby) == [], "the lead")
        until(lambda: execute(database_url, said) == [], "an end of its word")


def knows(server, token):
    with contextlib.suppress(NotAllowed):
        return about(server, token).role
    return None


@pytest.fixture
def slow_standby(server, database_url, tmp_path):
    """One that by itself reads the tokens every few minutes."""
    with beside(server, database_url, tmp_path / "other", 600.0) as made:
        yield made


def test_who_got_a_token_after_a_standby_read_them_hears_who_leads(server, slow_standby):
    with pytest.raises(Standby) as refused:
        about(slow_standby, create_token(server, "editor"))
    assert refused.value.address == server.address
    shown = {"Authorization": f"Bearer {create_token(server, 'viewer')}"}
    page = httpx.get(f"{slow_standby.url}/api/studies", headers=shown, timeout=60)
    assert (page.status_code, server.address in page.text) == (503, True)


def test_a_standby_refuses_those_who_may_not_call_wherever_it_reads(server, slow_standby):
    with pytest.raises(NotAllowed, match="needs the role"):
        about(slow_standby, create_token(server, "join"))
    with pytest.raises(NotAllowed, match="a valid token is needed"):
        about(slow_standby, new_secret())
    for headers in ({}, {"Authorization": f"Bearer {new_secret()}"}):
        assert httpx.get(f"{slow_standby.url}/api/studies", headers=headers, timeout=60).status_code == 401


def create_token(server, role):
    """Makes a token at the leader; gives its secret."""
    secret = new_secret()
    uses = 1 if role == "join" else None
    request = admin_pb2.CreateTokenRequest(
        name=f"new-{role}", role=role, secret_hash=secret_hash(secret), uses=uses
    )
    with grpc.insecure_channel(server.address) as channel:
        AdminServiceStub(channel).CreateToken(
            request, timeout=30, metadata=token_metadata(server.token("admin"))
        )
    return secret


def test_a_caller_of_another_version_hears_what_to_install(server):
    token = server.token("admin")
    assert about(server, token, (HEADER, "0.2.0")).role == "admin"
    with pytest.raises(Incompatible, match=r"client 0\.9\.0 needs server ≥ 0\.8; server is 0\.1\.0"):
        about(server, token, (HEADER, "0.9.0"))
    with pytest.raises(Incompatible, match=r"worker 1\.0\.0 needs server"):
        about(server, server.token("worker"), (HEADER, "1.0.0"))
    with grpc.insecure_channel(server.address) as channel:
        calls = WorkerServiceStub(channel).Work(
            iter([]), metadata=(*token_metadata(server.token("worker")), (HEADER, "1.0.0"))
        )
        with pytest.raises(grpc.RpcError) as refused:
            next(calls)
    assert isinstance(from_rpc_error(refused.value), Incompatible)


@contextlib.contextmanager
def read_only(database_url):
    """Inside, the database takes no change, as one that has failed over to a replica, or was protected."""
    name = database_url.rpartition("/")[2].partition("?")[0]
    execute(database_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    cut(database_url)
    try:
        yield
    finally:
        connection = psycopg2.connect(database_url.replace("+psycopg2", ""))
        connection.set_session(readonly=False, autocommit=True)
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        connection.close()
        cut(database_url)


def cut(database_url):
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    execute(database_url, f"SELECT pg_terminate_backend(pid) {others}")


@contextlib.contextmanager
def full(database_url):
    """Inside, the database has no room for what is to be written."""
    execute(
        database_url,
        """
        CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100';
        END
        $$;
        CREATE TRIGGER no_room BEFORE INSERT ON journal EXECUTE FUNCTION no_room();
        CREATE TRIGGER no_room BEFORE UPDATE ON leader EXECUTE FUNCTION no_room();
        """,
    )
    try:
        yield
    finally:
        execute(database_url, "DROP FUNCTION no_room CASCADE")


@pytest.mark.parametrize(
    ("trouble", "words"), [(read_only, "read-only transaction"), (full, "No space left on device")]
)
def test_while_the_database_takes_no_change_the_server_lives_and_says_why(
    server, database_url, trouble, words
):
    """1. A path is being trained. 2. The database takes no change: the server lives, is not ready, and says why.
    3. It takes changes again: the server is ready by itself, and the lease stands.
    """
    client = server.connect()
    upload(client)
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
    with trouble(database_url):
        with contextlib.suppress(HippoError):
            client.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id="2", name="study"))
        until(lambda: any(words in each for each in reasons(server)), "the reason")
        assert httpx.get(f"{server.url}/livez", timeout=60).status_code == 200
    until(lambda: reasons(server) == [], "a server that is ready")
    client.studies.ResumeStudy(study_pb2.ResumeStudyRequest(request_id="3", name="study"))
    assert list(worker.register(order.fence).revoked) == []
    stream = worker.open()
    worker.train(order)
    worker.work(lambda: ended(client), stream)
    worker.close()


def test_with_all_connections_busy_the_leader_writes_on(server, database_url):
    """Readers wait for a connection, and are told so; no commit and no renewal does: no lease is lost, and no lead. A
    token that is revoked meanwhile counts no more.
    """
    leaked = secret_hash(server.token("viewer"))
    renewed, term = [], server.server.driver.current()
    renew = server.store.renew
    server.store.renew = lambda number: renewed.append(number) or renew(number)
    client = server.connect()
    upload(client)
    submit(client)
    engine = server.store._database.engine
    held = []
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            held.append(stack.enter_context(engine.connect()))
        renewed.clear()
        worker = Worker(server.connect(server.token("worker")))
        with working(worker) as stream:
            order = first_lease(worker, stream)
            worker.train(order)
            worker.work(lambda: order.fence in worker.acknowledged, stream)
        with pytest.raises(TooManyCalls, match="all connections to the database are busy"):
            server.store.find_tokens()
        assert counts(server, leaked)
        execute(database_url, "UPDATE tokens SET revoked_at = now() WHERE name = 'viewer'")
        until(lambda: not counts(server, leaked), "word of the revocation")
        until(lambda: len(renewed) >= 3, "renewals")
    assert client.studies.GetStudy(study_pb2.GetStudyRequest(name="study"), timeout=60).study.name == "study"
    assert server.server.driver.current() is term
