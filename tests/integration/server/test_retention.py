"""What clients ask about checkpoints: lists by page, pins, what goes, budgets."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg2
import pytest

from hippo_core.engine import commands
from hippo_core.errors import Conflict, HippoError, InvalidStudy, NotFound, Unavailable
from hippo_core.retention import Keep
from hippo_server import removal
from hippo_server.store import Store
from hippo_storage.errors import StorageError
from hippo_storage.local import LocalStorage
from hippo_storage.storage import CheckpointLocation, Storage
from hippo_wire.v1 import checkpoint_pb2, study_pb2
from tests.integration.server.conftest import submit
from tests.integration.server.test_sweeping import published
from tests.integration.server.test_work import first_lease
from tests.integration.server.worker import Worker, working
from tests.waiting import until


def ended(client):
    study = client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study
    return study.state == study_pb2.STUDY_STATE_COMPLETED


@pytest.fixture
def trained(server, client):
    """A study that has ended; each of its states holds three bytes."""
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    worker.register()
    worker.work(lambda: ended(client), worker.open())
    until(lambda: len(listed(client).checkpoints) >= 4, "the last save")
    return worker


def listed(client, **fields):
    return client.checkpoints.ListCheckpoints(checkpoint_pb2.ListCheckpointsRequest(name="study", **fields))


def collect(client, request_id, **fields):
    request = checkpoint_pb2.CollectCheckpointsRequest(request_id=request_id, **fields)
    return client.checkpoints.CollectCheckpoints(request)


@pytest.mark.usefixtures("trained")
def test_pages_hold_all_that_is_kept_once_and_why(client):
    whole = listed(client)
    assert not whole.next_page_token
    found, token = [], ""
    while True:
        page = listed(client, page_size=2, page_token=token)
        found += page.checkpoints
        token = page.next_page_token
        if not token:
            break
    assert found == list(whole.checkpoints)
    assert whole.study.used_bytes == whole.storage.used_bytes == 3 * len(found)
    assert not whole.study.HasField("limit_bytes")
    assert {each.need for each in found} >= {"kept", "end"}
    assert all(each.trial_count == len(each.trials) > 0 for each in found)
    with pytest.raises(InvalidStudy):
        listed(client, page_size=10**6)
    with pytest.raises(NotFound):
        client.checkpoints.ListCheckpoints(checkpoint_pb2.ListCheckpointsRequest(name="other"))


@pytest.mark.usefixtures("trained")
def test_a_pin_stays_through_a_collection_and_a_repeat_gets_the_first_answer(server, client):
    last = next(each for each in listed(client).checkpoints if each.need == "end" and each.step == 3)
    pin = checkpoint_pb2.PinCheckpointRequest(request_id="p", name="study", trial=last.trials[0])
    pinned = client.checkpoints.PinCheckpoint(pin)
    assert (pinned.trial, pinned.step, pinned.size_bytes) == (last.trials[0], 3, 3)
    assert client.checkpoints.PinCheckpoint(pin) == pinned
    before = listed(client).checkpoints
    dry = collect(client, "", dry_run=True)
    assert list(listed(client).checkpoints) == list(before)
    gone = collect(client, "g")
    assert gone == dry
    assert gone.checkpoint_count == len(gone.checkpoints) > 0
    assert gone.size_bytes == 3 * gone.checkpoint_count
    left = listed(client).checkpoints
    assert sorted(each.need for each in left) == ["kept", "pinned"]
    assert collect(client, "g") == gone, "a repeat of the request"
    with pytest.raises(Conflict):
        collect(client, "g", name="study")
    with pytest.raises(InvalidStudy, match="request_id"):
        collect(client, "")
    with pytest.raises(InvalidStudy, match="to_bytes"):
        collect(client, "h", to_bytes=-1)
    unpin = checkpoint_pb2.UnpinCheckpointsRequest(request_id="u", name="study")
    assert client.checkpoints.UnpinCheckpoints(unpin).pin_count == 1
    assert collect(client, "i", name="study", to_bytes=0).checkpoint_count == 1
    until(lambda: not server.server.driver.current().engine.wanted(), "the removal of the files")


@pytest.mark.usefixtures("trained")
def test_what_cannot_be_given_away_is_lost_and_no_longer_listed(client, database_url):
    """The worker of the test has published rows, and no files."""
    before = listed(client).checkpoints
    last = next(each for each in before if 0 in each.trials and each.step == 3)
    with pytest.raises(HippoError, match=r"is missing: manifest\.json lacks"):
        list(client.studies.DownloadCheckpoint(study_pb2.DownloadCheckpointRequest(name="study", trial=0)))
    assert list(listed(client).checkpoints) == [each for each in before if each != last]
    explained = client.studies.ExplainTrial(study_pb2.ExplainTrialRequest(name="study", trial=0))
    assert "missing" in str(explained)


def test_a_budget_that_is_passed_is_told(server, client):
    """A study that keeps all its ends, and may hold nothing."""
    submit(client, keep=Keep(ends=True), checkpoint_budget=1)
    worker = Worker(server.connect(server.token("worker")))
    worker.register()
    worker.work(lambda: ended(client), worker.open())

    def over():
        return client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study.over_budget

    until(lambda: over() == "over budget: 12 B of 1 B; 12 B kept as keep= says", "all that is kept")
    budget = listed(client).study
    assert (budget.used_bytes, budget.limit_bytes, budget.over) == (12, 1, over())
    server.in_loop(lambda: server.server.driver.metrics.engine.look_at(server.server.driver.current().engine))
    page = server.server.driver.metrics.page(leads=True).decode().splitlines()
    assert 'hippo_checkpoint_budgets_passed{of="study"} 1.0' in page
    assert "hippo_checkpoint_kept_bytes 12.0" in page


def unremoved(database_url):
    """The rows of checkpoints whose files are to go."""
    with psycopg2.connect(database_url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT node, step FROM checkpoints WHERE state <> 'kept' ORDER BY 1, 2")
        return cursor.fetchall()


@pytest.mark.usefixtures("trained")
def test_what_cannot_be_removed_holds_up_nothing_else_and_goes_in_the_end(client, database_url, monkeypatch):
    """1. One folder of several cannot be removed, and the database fails to note the rest once. 2. All but that one is
    forgotten. 3. It can be removed: it goes, without another word."""
    monkeypatch.setattr(removal, "RETRY_SECONDS", 0.05)
    mended, refused, remove, forget = threading.Event(), [], LocalStorage.remove, Store.forget_checkpoints
    failures = [Unavailable("the database does not answer.")]

    def remove_most(self, location):
        refused.append((location.node, location.step))
        if refused[0] == refused[-1] and not mended.is_set():
            raise StorageError("The storage failed: removing: permission denied.")
        remove(self, location)

    def forget_later(self, gone):
        if failures:
            raise failures.pop()
        forget(self, gone)

    monkeypatch.setattr(LocalStorage, "remove", remove_most)
    monkeypatch.setattr(Store, "forget_checkpoints", forget_later)
    assert collect(client, "g", name="study", to_bytes=0).checkpoint_count > 1
    until(lambda: len(refused) > 1 and unremoved(database_url) == [refused[0]], "the removal of all but one")
    mended.set()
    until(lambda: unremoved(database_url) == [], "the removal of that one")


def test_a_state_that_is_to_go_is_not_granted_and_one_that_is_granted_does_not_go(
    server, client, tmp_path, monkeypatch
):
    """1. A study has ended, and of its states that at step 1 is let go; its removal waits at a gate. 2. A trial is
    forked there: its path begins, not from step 1, whose files are there yet. 3. It saves step 1 anew and is given
    back; the next path starts there. 4. All is let go that may: step 1, which the path has yet to load, stays."""
    gate, remove = threading.Event(), LocalStorage.remove

    def remove_later(self, location):
        assert gate.wait(60)
        remove(self, location)

    monkeypatch.setattr(LocalStorage, "remove", remove_later)
    submit(client, space={"lr": [0.1]}, checkpoint_every=1)
    root = Path(server.server.driver.storage_address)
    worker = Worker(server.connect(server.token("worker")))

    def train(order, step):
        """Trains a step of the first node, and saves there; gives where."""
        node = order.stages[0].node
        place = CheckpointLocation(plan=order.plan, node=node, step=step, fence=order.fence)
        worker.report(
            order.fence,
            commands.StepsReport(
                node=node, start=step - 1, stop=step, train_seconds=0.1, evaluate_seconds=0.0
            ),
            commands.MetricsReport(
                node=node, step=step, metrics={"accuracy": 0.5}, training={}, evaluated=True
            ),
            published(root, place, tmp_path / f"{order.fence}-{step}"),
        )
        return place

    with working(worker) as stream:
        order = first_lease(worker, stream)
        going, _, _ = (train(order, step) for step in (1, 2, 3))
        worker.report(order.fence, commands.TrainedReport())
        while not (worker.settled() and ended(client)):
            worker.note(next(stream))
        gone = collect(client, "g", name="study", to_bytes=0).checkpoints
        assert [each.step for each in gone] == [1, 2]
        fork = study_pb2.ForkTrialRequest(
            request_id="f", name="study", trial=0, at=1, hyperparameters_json='{"lr": 0.2}'
        )
        client.studies.ForkTrial(fork)
        order = first_lease(worker, stream)
        assert (root / going.path / "state.msgpack").exists()
        assert order.start is None
        kept = train(order, 1)
        worker.report(order.fence, commands.ReleasedReport(reason="drained"))
        following = first_lease(worker, stream)
        assert following.start == (kept.node, 1, kept.fence)
        assert collect(client, "h", name="study", to_bytes=0).checkpoint_count == 0
        gate.set()
        until(lambda: not server.server.driver.current().engine.wanted(), "the removal of the files")
        assert [(root / place.path).exists() for place in (going, kept)] == [False, True]
        assert Storage.open(str(root)).manifest(kept, following.start_digest).files
