"""What clients ask about checkpoints: lists by page, pins, what goes, budgets."""

from __future__ import annotations

import pytest

from hippo_core.errors import Conflict, InvalidStudy, NotFound
from hippo_wire.v1 import checkpoint_pb2, study_pb2
from tests.integration.server.conftest import submit
from tests.integration.server.worker import Worker
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


def test_a_budget_that_is_passed_is_told(server, client):
    """A study that keeps all its ends, and may hold nothing."""
    from hippo_core.retention import Keep

    submit(client, keep=Keep(ends=True), checkpoint_budget=1)
    worker = Worker(server.connect(server.token("worker")))
    worker.register()
    worker.work(lambda: ended(client), worker.open())

    def over():
        return client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study.over_budget

    until(lambda: over() == "over budget: 12 B of 1 B; 12 B kept as keep= says", "all that is kept")
    budget = listed(client).study
    assert (budget.used_bytes, budget.limit_bytes, budget.over) == (12, 1, over())
    server.in_loop(lambda: server.server.driver.metrics.look_at(server.server.driver.current().engine))
    registry = server.server.driver.metrics.registry
    assert registry.get_sample_value("hippo_checkpoint_budgets_passed", {"of": "study"}) == 1.0
    assert registry.get_sample_value("hippo_checkpoint_kept_bytes") == 12.0
