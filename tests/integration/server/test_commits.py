"""Nothing leaves before its commit, and what becomes of a commit that fails or of whose end nobody knows."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import grpc
import httpx
import pytest

from hippo_core.engine import commands
from hippo_core.errors import Conflict, HippoError, InvariantViolated, NotFound, Standby, Unavailable
from hippo_server.answers import Asked
from hippo_server.store import Store
from hippo_wire.channel import token_metadata
from hippo_wire.errors import from_rpc_error
from hippo_wire.json_text import dump
from hippo_wire.v1 import admin_pb2, study_pb2
from hippo_wire.v1.study_pb2_grpc import StudyServiceStub
from tests.integration.server.conftest import RunningServer, spec, submit, upload
from tests.integration.server.test_work import first_lease
from tests.integration.server.worker import Worker, working
from tests.integration.store.test_schema import execute
from tests.waiting import until


class HeldStore(Store):
    """A store whose commits wait until the test lets them go."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.open = threading.Event()
        self.open.set()
        self.arrived = threading.Semaphore(0)

    def write(self, records, term, batch):
        self.arrived.release()
        assert self.open.wait(90)
        super().write(records, term, batch)


class FailingStore(Store):
    """A store one of whose commits fails, before or after it took place."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.fail_before = False
        self.fail_after = False
        self.sizes: list[int] = []

    def write(self, records, term, batch):
        self.sizes.append(len(records))
        if self.fail_before:
            self.fail_before = False
            raise Unavailable("the database went away before COMMIT")
        super().write(records, term, batch)
        if self.fail_after:
            self.fail_after = False
            raise Unavailable("the database went away after COMMIT")


class LosingStore(HeldStore):
    """A store whose commits can be held, and one of which then fails."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.fails = False
        self.renewed: list[int] = []

    def write(self, records, term, batch):
        if self.fails:
            self.fails = False
            self.arrived.release()
            assert self.open.wait(90)
            raise Unavailable("the database went away")
        super().write(records, term, batch)

    def renew(self, term):
        super().renew(term)
        self.renewed.append(term)


def call_once(server, method, request):
    """One attempt, so that a refusal is seen and not tried away."""
    with grpc.insecure_channel(server.address) as channel:
        try:
            metadata = token_metadata(server.token("admin"))
            return getattr(StudyServiceStub(channel), method)(request, timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error


@pytest.fixture
def held(start_server):
    server = start_server(make_store=HeldStore)
    upload(server.connect())
    return server


@pytest.fixture
def failing(start_server):
    server = start_server(make_store=FailingStore)
    upload(server.connect())
    return server


def assert_waits(server: RunningServer, *waiting: Future) -> None:
    """The server has got as far as the commit with each of them, and none has an answer."""
    commits = server.server.driver.current().commits
    until(
        lambda: server.in_loop(lambda: len(commits._waiters)) == len(waiting),
        "calls that wait for the commit",
    )
    assert [future.done() for future in waiting] == [False] * len(waiting)


def test_no_reply_read_refusal_or_stream_leaves_before_the_commit(held):
    """Reply, repeat, read, refusal, watch and work stream all wait for the one commit that is held."""
    client = held.connect()
    worker = Worker(held.connect(held.token("worker")))
    store = held.store
    with working(worker) as stream, ThreadPoolExecutor(8) as pool:
        store.open.clear()
        while store.arrived.acquire(blocking=False):
            pass
        reply = pool.submit(submit, client, "1")
        assert store.arrived.acquire(timeout=90)
        repeat = pool.submit(submit, client, "1")
        read = pool.submit(client.studies.GetStudy, study_pb2.GetStudyRequest(name="study"))
        listed = pool.submit(client.studies.ListStudies, study_pb2.ListStudiesRequest())
        refusal = pool.submit(submit, client, "2", space={"lr": [0.3], "momentum": [0.8]})
        watched = pool.submit(
            lambda: next(client.studies.WatchStudy(study_pb2.WatchStudyRequest(name="study")))
        )
        lease = pool.submit(first_lease, worker, stream)
        assert_waits(held, reply, repeat, read, listed, refusal, watched, lease)
        store.open.set()
        assert reply.result(90) == repeat.result(90)
        assert read.result(90).study.name == "study"
        assert len(listed.result(90).studies) == 1
        assert watched.result(90).study.name == "study"
        assert lease.result(90).stages
        with pytest.raises(Conflict):
            refusal.result(90)


def test_a_report_is_acknowledged_after_its_commit(held):
    client = held.connect()
    submit(client, "1")
    worker = Worker(held.connect(held.token("worker")))
    with working(worker) as stream, ThreadPoolExecutor(2) as pool:
        order = first_lease(worker, stream)
        held.store.open.clear()
        stage = order.stages[0]
        steps = commands.StepsReport(
            node=stage.node, start=0, stop=1, train_seconds=0.1, evaluate_seconds=0.0
        )
        worker.report(order.fence, steps)
        acknowledged = pool.submit(next, stream)
        assert_waits(held, acknowledged)
        held.store.open.set()
        assert worker.note(acknowledged.result(90)) == []
        assert worker.acknowledged == {order.fence: 1}


def test_calls_that_wait_together_are_committed_together(held):
    """While one transaction is held, the others gather into the next one."""
    clients = [held.connect() for _ in range(4)]
    held.store.open.clear()
    while held.store.arrived.acquire(blocking=False):
        pass
    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(submit, clients[0], "0", name="study-0")
        assert held.store.arrived.acquire(timeout=90)
        rest = [
            pool.submit(submit, clients[number % 4], f"{number}", name=f"study-{number}")
            for number in range(1, 11)
        ]
        driver = held.server.driver
        until(lambda: held.in_loop(lambda: len(driver.current().answers)) == 11, "the decision of all eleven")
        held.store.open.set()
        for future in (first, *rest):
            future.result(90)
    entries = [entry for entry in held.store.journal() if type(entry.event).__name__ == "StudySubmitted"]
    assert len(entries) == 11
    assert len({entry.batch for entry in entries}) == 2


@pytest.mark.parametrize("happened", [False, True])
def test_after_a_commit_that_broke_the_database_says_what_is_true(failing, happened):
    """The caller hears UNAVAILABLE, the engine is rebuilt, and a repeat gets the one answer that counts."""
    client = failing.connect()
    submit(client, "1", name="before")
    term = client.admin.GetServer(admin_pb2.GetServerRequest()).term
    if happened:
        failing.store.fail_after = True
    else:
        failing.store.fail_before = True
    stop = study_pb2.StopStudyRequest(request_id="2", name="before")
    with pytest.raises(Unavailable):
        call_once(failing, "StopStudy", stop)
    read = client.studies.GetStudy(study_pb2.GetStudyRequest(name="before")).study
    stopped = study_pb2.STUDY_STATE_STOPPED if happened else study_pb2.STUDY_STATE_RUNNING
    assert read.state == stopped
    assert client.studies.StopStudy(stop).study.state == study_pb2.STUDY_STATE_STOPPED
    assert client.admin.GetServer(admin_pb2.GetServerRequest()).term == term + 1
    kinds = [type(entry.event).__name__ for entry in failing.store.journal()]
    assert kinds.count("StudyStateChanged") == 1


def test_a_client_that_tries_again_does_not_notice_a_failed_commit(failing):
    client = failing.connect()
    failing.store.fail_after = True
    answer = submit(client, "1")
    assert answer.outcome == study_pb2.SUBMIT_OUTCOME_CREATED
    kinds = [type(entry.event).__name__ for entry in failing.store.journal()]
    assert kinds.count("StudySubmitted") == 1


def test_streams_end_with_the_term_and_go_on_with_the_next(failing):
    client = failing.connect()
    submit(client, "1")
    worker = Worker(failing.connect(failing.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        watching = client.studies.WatchStudy(study_pb2.WatchStudyRequest(name="study"))
        next(watching)
        failing.store.fail_before = True
        with pytest.raises(Unavailable):
            call_once(failing, "StopStudy", study_pb2.StopStudyRequest(request_id="2", name="study"))
        for broken in (stream, watching):
            with pytest.raises(Unavailable):
                list(broken)
    submit(client, "1")  # tried until the next term has begun
    worker.register(order.fence)
    again = worker.open()
    assert first_lease(worker, again) == order
    worker.close()


def test_an_engine_that_contradicts_itself_is_rebuilt(failing):
    """A defect costs the call that met it, and nothing that was committed."""
    client = failing.connect()
    submit(client, "1")
    driver = failing.server.driver

    def break_engine() -> None:
        driver.current().engine.state.studies.clear()

    failing.in_loop(break_engine)
    with pytest.raises(HippoError):
        call_once(failing, "StopStudy", study_pb2.StopStudyRequest(request_id="2", name="study"))
    until(lambda: driver.ready, "the next term")
    stop = study_pb2.StopStudyRequest(request_id="3", name="study")
    assert client.studies.StopStudy(stop).study.state == study_pb2.STUDY_STATE_STOPPED


@pytest.mark.parametrize("error", [KeyError("trial"), NotFound("no such trial")])
def test_a_command_whose_answer_cannot_be_made_has_not_happened(failing, error):
    """It has changed the engine and would never be written: later commands must not build on it."""
    client = failing.connect()
    submit(client, "1")
    driver = failing.server.driver
    term = driver.current()

    def render(engine, result):
        raise error

    change = term.change(
        commands.StopStudy(project="default", name="study"),
        "somebody",
        Asked(request_id="2", method="StopStudy", digest="d"),
        render,
    )
    with pytest.raises(InvariantViolated):
        asyncio.run_coroutine_threadsafe(change, failing.loop).result(30)
    assert term.over
    until(lambda: driver.ready, "the next term")
    found = client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study
    assert found.state == study_pb2.STUDY_STATE_RUNNING
    pause = study_pb2.PauseStudyRequest(request_id="3", name="study")
    assert client.studies.PauseStudy(pause).study.state == study_pb2.STUDY_STATE_PAUSED


def test_a_server_that_was_replaced_stands_by_and_leads_again(server, database_url):
    """Another server has taken the lead: this one's first write finds out, and nothing of its engine leaves it."""
    client = server.connect()
    upload(client)
    submit(client, "1", name="before")
    watching = client.studies.WatchStudy(study_pb2.WatchStudyRequest(name="before"))
    next(watching)
    other = Store(database_url)
    term = server.server.driver.current().number
    execute(database_url, "UPDATE leader SET lease_seconds = 0")
    assert other.lead("other", 3600.0, "127.0.0.1:1") == term + 1
    rows = execute(database_url, "SELECT max(id) FROM journal")
    call = study_pb2.SubmitStudyRequest(request_id="2", spec_json=dump(spec().to_json()))
    with pytest.raises(Unavailable):
        call_once(server, "SubmitStudy", call)
    until(lambda: server.server.driver.standby, "a server that stands by")
    with pytest.raises(Unavailable):
        list(watching)
    for method, request in (
        ("SubmitStudy", call),
        ("GetStudy", study_pb2.GetStudyRequest(name="before")),
        ("ListStudies", study_pb2.ListStudiesRequest()),
    ):
        with pytest.raises(Standby) as refused:
            call_once(server, method, request)
        assert (refused.value.holder, refused.value.address) == ("other", "127.0.0.1:1")
    ready = httpx.get(f"{server.url}/readyz", timeout=60)
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["standby: other leads"])
    assert httpx.get(f"{server.url}/livez", timeout=60).status_code == 200
    assert execute(database_url, "SELECT max(id) FROM journal") == rows
    other.resign(term + 1)
    until(lambda: server.server.driver.ready, "the lead")
    found = server.connect().studies.GetStudy(study_pb2.GetStudyRequest(name="before")).study
    assert found.name == "before"
    other.close()


def test_no_part_of_a_large_study_that_is_watched_leaves_before_the_commit(held):
    client = held.connect()
    submit(client, space={"lr": [number / 1000 for number in range(1, 151)]})
    stop = study_pb2.StopTrialRequest(request_id="stop", name="study", trial=3)
    with ThreadPoolExecutor(2) as pool:
        held.store.open.clear()
        stopping = pool.submit(client.studies.StopTrial, stop)
        until(lambda: held.in_loop(lambda: bool(held.server.driver.current().commits._waiters)), "the commit")
        stream = client.studies.WatchStudy(study_pb2.WatchStudyRequest(name="study"))
        first = pool.submit(next, stream)
        assert_waits(held, stopping, first)
        held.store.open.set()
        part = first.result(30)
        assert part.more
        assert part.trials[3].state == study_pb2.TRIAL_STATE_STOPPED


def test_a_deleted_studys_watchers_hear_of_it(server):
    client = server.connect()
    upload(client)
    submit(client, "1")
    watching = client.studies.WatchStudy(study_pb2.WatchStudyRequest(name="study"))
    next(watching)
    client.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id="2", name="study"))
    assert next(watching).study.state == study_pb2.STUDY_STATE_PAUSED
    client.studies.DeleteStudy(study_pb2.DeleteStudyRequest(request_id="3", name="study"))
    with pytest.raises(NotFound):
        next(watching)


class SilentStore(Store):
    """A store that cannot renew its lead: the database does not answer."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.answering = threading.Event()
        self.answering.set()
        self.asked = threading.Event()

    def renew(self, term):
        if not self.answering.is_set():
            self.asked.set()
            assert self.answering.wait(30)
        super().renew(term)


def test_a_leader_that_cannot_renew_answers_nothing(start_server, caplog):
    """Another server may lead by then, so that even a read could be wrong; after the renewal all is well.

    Page, metric and log say meanwhile that it is the database that is silent.
    """
    caplog.set_level(logging.INFO, "hippo_server.health")
    server = start_server(make_store=SilentStore, leader_lease_seconds=6.0)
    client = server.connect()
    upload(client)
    submit(client, "1")
    server.store.answering.clear()
    assert server.store.asked.wait(90)
    caplog.clear()
    term = server.in_loop(lambda: server.server.driver._term)
    until(lambda: time.monotonic() - term.heard > term.silence_seconds, "a silence that is too long")
    with pytest.raises(Unavailable) as refused:
        call_once(server, "GetStudy", study_pb2.GetStudyRequest(name="study"))
    assert "database" in refused.value.message
    assert httpx.get(f"{server.url}/readyz", timeout=60).status_code == 503

    def said_of_database():
        return (
            httpx.get(f"{server.url}/readyz", timeout=60).json()["checks"]["database"],
            server.server.driver.metrics.registry.get_sample_value("hippo_db_up"),
            [message for message in caplog.messages if message.startswith("database_")],
        )

    silent = ("it does not answer", 0.0, ["database_silent"])
    until(lambda: said_of_database() == silent, "word of a silent database")
    server.store.answering.set()
    # It answers once its lead is renewed again.
    found = client.studies.GetStudy(study_pb2.GetStudyRequest(name="study"), timeout=60)
    assert found.study.name == "study"
    until(
        lambda: said_of_database() == ("ok", 1.0, ["database_silent", "database_answers"]), "all to be well"
    )


def test_a_renewal_that_waits_for_a_commit_that_fails_is_not_the_last(start_server):
    """1. A commit lasts, and a renewal waits for it. 2. The commit fails. 3. The lead is renewed in the next term as it
    was before, so that the server answers for longer than a lease, though nobody changes anything.
    """
    server = start_server(make_store=LosingStore, leader_lease_seconds=4.5)
    client = server.connect()
    upload(client)
    submit(client, "1")
    store, driver = server.store, server.server.driver
    term = driver.current()
    while store.arrived.acquire(blocking=False):
        pass
    store.fails = True
    store.open.clear()
    with ThreadPoolExecutor(1) as pool:
        stop = study_pb2.StopStudyRequest(request_id="2", name="study")
        stopped = pool.submit(call_once, server, "StopStudy", stop)
        assert store.arrived.acquire(timeout=90)
        until(lambda: term.commits._jobs, "a renewal that waits for the commit")
        store.open.set()
        with pytest.raises(Unavailable):
            stopped.result(90)
    until(lambda: store.renewed.count(term.number + 1) >= 4, "renewals in the next term")
    assert driver.current().number == term.number + 1
    read = client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study
    assert read.state == study_pb2.STUDY_STATE_RUNNING
