"""The stream of work: leases down, reports up, acknowledged after their commit and once."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from hippo_core.engine import commands
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.states import FailureClass
from hippo_core.errors import HippoError, InvalidStudy, NotFound, Stale, Unavailable
from hippo_core.schedules import piecewise
from hippo_storage.storage import CheckpointLocation
from hippo_wire.reports import report_to_proto
from hippo_wire.v1 import admin_pb2, study_pb2, worker_pb2
from tests.integration.server.conftest import spec, submit, upload
from tests.integration.server.worker import Worker, working
from tests.waiting import until


def study(client, name="study"):
    return client.studies.GetStudy(study_pb2.GetStudyRequest(name=name)).study


def ended(client, name="study"):
    return study(client, name).state not in {study_pb2.STUDY_STATE_RUNNING, study_pb2.STUDY_STATE_PAUSED}


def first_lease(worker, stream):
    for response in stream:
        orders = worker.note(response)
        if orders:
            return orders[0]
    raise AssertionError("the stream ended without a lease")


def test_a_study_is_trained_to_its_end(server, client):
    """Every trial's metrics are there, shared steps were trained once, and nothing is left running."""
    submit(client)
    worker = Worker(server.connect(server.token("worker")), slots=2)
    with working(worker) as stream:
        worker.work(lambda: ended(client), stream)
    found = study(client)
    assert found.state == study_pb2.STUDY_STATE_COMPLETED
    assert dict(found.trial_counts) == {"completed": 4}
    assert found.savings.steps_without_sharing == 12
    assert found.savings.steps_trained == 12  # constants share nothing
    detail = client.studies.GetTrial(study_pb2.GetTrialRequest(name="study", trial=0))
    assert [(each.step, each.metrics[0].value) for each in detail.history] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    workers = client.admin.ListWorkers(admin_pb2.ListWorkersRequest()).workers
    assert [(each.name, len(each.slots)) for each in workers] == [("worker", 2)]
    assert workers[0].HasField("register_time")


def trained(stage):
    """What is reported of a stage's steps."""
    steps = commands.StepsReport(
        node=stage.node, start=stage.start, stop=stage.stop, train_seconds=0.1, evaluate_seconds=0.0
    )
    metrics = [
        commands.MetricsReport(
            node=stage.node, step=step, metrics={"accuracy": 0.5}, training={}, evaluated=True
        )
        for step in range(stage.start + 1, stage.stop + 1)
    ]
    return steps, *metrics


def test_an_idle_worker_is_told_once_a_connection_what_to_get_ready_for(server, client):
    """
    1. two workers wait, and are told that there is nothing to get ready for
    2. a study comes whose trials part at step 2: one worker is granted the trunk, the other is told of the path that
       will begin there
    3. on its next connection it is told again
    4. the state at the fork is saved: it is granted the path, and told that it is to be made ready for nothing
    """
    training = Worker(server.connect(server.token("worker")), name="a")
    waiting = Worker(server.connect(server.token("worker")), name="b")
    with working(training) as stream, working(waiting) as other:
        nothing = next(other)
        assert nothing.HasField("preparations")
        assert not nothing.preparations.preparations
        rates = [piecewise([0.1, rate], milestones=[2]) for rate in (0.2, 0.3)]
        submit(client, space={"lr": rates})
        order = first_lease(training, stream)
        told = next(each for each in other if each.HasField("preparations"))
        (preparation,) = told.preparations.preparations
        assert (preparation.slot, preparation.program_key) == (0, order.program_key)
        assert not told.leases
        waiting.close()
        other = waiting.open()
        again = next(each for each in other if each.HasField("preparations"))
        assert list(again.preparations.preparations) == [preparation]
        training.report(
            order.fence, *trained(order.stages[0]), training.publish(order, order.stages[0].node, 2)
        )
        response = next(other)
        assert response.HasField("preparations")
        assert not response.preparations.preparations
        (following,) = waiting.note(response)
        assert following.start is not None
        assert following.bundle == preparation.bundle
        waiting.close()


def test_a_watcher_sees_the_study_from_its_beginning_to_its_end(server, client):
    submit(client)
    messages = []
    watching = threading.Thread(
        target=lambda: messages.extend(client.studies.WatchStudy(study_pb2.WatchStudyRequest(name="study")))
    )
    watching.start()
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        worker.work(lambda: ended(client), stream)
    watching.join(30)
    assert not watching.is_alive()
    assert [trial.number for trial in messages[0].trials] == [0, 1, 2, 3]
    assert messages[-1].study.state == study_pb2.STUDY_STATE_COMPLETED
    last = {trial.number: trial for message in messages for trial in message.trials}
    assert {trial.state for trial in last.values()} == {study_pb2.TRIAL_STATE_COMPLETED}
    assert messages[-1].study.HasField("end_time")
    with pytest.raises(NotFound):
        next(client.studies.WatchStudy(study_pb2.WatchStudyRequest(name="none")))


def test_a_repeated_report_is_acknowledged_and_changes_nothing(server, client):
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        stage = order.stages[0]
        steps = commands.StepsReport(
            node=stage.node, start=0, stop=1, train_seconds=0.1, evaluate_seconds=0.0
        )
        for _ in range(3):
            worker.report(order.fence, steps, number=1)
        while worker.acknowledged.get(order.fence) != 1:
            worker.note(next(stream))
        assert study(client).savings.steps_trained == 1


def test_a_gap_in_the_numbers_ends_the_stream_for_another_try(server, client):
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        worker.report(order.fence, commands.TrainedReport(), number=2)
        with pytest.raises(Unavailable) as gap:
            list(stream)
    assert "Send again from 1" in gap.value.hint
    stream = worker.open()
    response = next(stream)
    assert [lease.fence for lease in response.leases] == [order.fence]
    worker.close()


def test_a_lease_that_ended_is_not_revoked_for_a_gap_in_the_numbers_of_another(server, client):
    """In one message: a lease's last report, and beside it one of another lease that came too soon, and its next."""
    submit(client)
    worker = Worker(server.connect(server.token("worker")), slots=2)
    with working(worker) as stream:
        orders = []
        while len(orders) < 2:
            orders += worker.note(next(stream))
        done, other = orders
        steps = [
            commands.StepsReport(
                node=each.node, start=each.start, stop=each.stop, train_seconds=0.1, evaluate_seconds=0.0
            )
            for each in done.stages
        ]
        saved = [worker.publish(done, node, step) for node, step in done.save_points]
        last = worker.report_of(done.fence, 1, *steps, commands.TrainedReport(), *saved)
        early = [worker.report_of(other.fence, number, commands.TrainedReport()) for number in (2, 3)]
        worker.send(reports=[report_to_proto(each) for each in (last, *early)])
        with pytest.raises(Unavailable):
            list(map(worker.note, stream))
    assert worker.acknowledged == {done.fence: 1}
    assert worker.revoked == []


def test_a_lease_that_no_longer_stands_is_revoked(server, client):
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        first_lease(worker, stream)
        worker.report(999, commands.TrainedReport())
        while not worker.revoked:
            worker.note(next(stream))
    assert worker.revoked == [999]


def test_a_worker_that_is_not_heard_of_loses_its_leases_to_another_and_hears_of_it(start_server):
    """A silent worker's lease stands until another takes its work; the silent one is told of that at once."""
    settings = EngineSettings(heartbeat_seconds=0.1, lease_seconds=0.5)
    server = start_server(engine=settings)
    client = server.connect()
    upload(client)
    submit(client)
    silent = Worker(server.connect(server.token("worker")), name="silent")
    with working(silent) as stream:
        order = first_lease(silent, stream)

        def state():
            (found,) = client.admin.ListWorkers(admin_pb2.ListWorkersRequest()).workers
            return found.state

        until(lambda: state() == admin_pb2.WORKER_STATE_LOST, "the end of the silent worker's lease")
        assert silent.revoked == []
        other = Worker(server.connect(server.token("worker")), name="other")
        with working(other) as others:
            assert first_lease(other, others).fence > order.fence
            while not silent.revoked:
                silent.note(next(stream))
            assert silent.revoked == [order.fence]
            silent.report(order.fence, commands.TrainedReport())
            silent.note(next(stream))
            assert silent.revoked == [order.fence, order.fence]


def test_the_workers_of_a_host_are_told_when_one_trains_a_path_alone(server, client):
    """
    1. of two workers of one host the first trains, and runs out of memory
    2. the path comes again, to be alone, and the second worker is told to let go of what it keeps; the first is not,
       as the path tells it
    """
    submit(client, space={"lr": [0.1]})
    first, second = (Worker(server.connect(server.token("worker")), name=name) for name in ("a", "b"))
    with working(first) as stream, working(second) as others:
        order = first_lease(first, stream)
        assert not order.alone
        stage = order.stages[0]
        failed = commands.FailedReport(
            failure=FailureClass.MEMORY, message="", traceback="", node=stage.node, step=0
        )
        first.report(order.fence, failed)
        assert first_lease(first, stream).alone
        while not second.made_room:
            second.note(next(others))
        assert (first.made_room, second.made_room) == (0, 1)


def test_a_new_connection_takes_the_place_of_the_earlier_one(server, client):
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        again = Worker(server.connect(server.token("worker")))
        again.incarnation = worker.incarnation
        second = again.open()
        assert first_lease(again, second).fence == order.fence
        with pytest.raises(Stale):
            list(stream)
        again.close()


def test_an_incarnation_that_is_not_registered_is_stale(server, client):
    worker = Worker(server.connect(server.token("worker")))
    with pytest.raises(Stale):
        list(worker.open())
    worker.register()
    worker.incarnation = "another"
    with pytest.raises(Stale):
        list(worker.open())


def test_a_stream_of_an_earlier_life_gets_none_of_the_next_ones_leases(server, client):
    """
    1. a worker has a lease, and its stream is open
    2. it registers in another life, without that lease: another one is granted for the new life
    3. the old stream ends as stale and has not heard of it
    """
    submit(client)
    token = server.token("worker")
    old = Worker(server.connect(token))
    with working(old) as stream:
        first_lease(old, stream)
        new = Worker(server.connect(token))
        new.register()
        heard = []
        with pytest.raises(Stale):
            heard.extend(stream)
        assert not any(response.leases for response in heard)
        assert first_lease(new, new.open()) is not None
        new.close()


def test_leases_that_a_worker_holds_survive_a_restart_of_the_server(start_server):
    """The worker registers with its lease, the lease stands, and its work goes on where it was."""
    server = start_server()
    client = server.connect()
    upload(client)
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        server.stop()
        with pytest.raises(Unavailable):
            list(stream)
    server = start_server()
    worker.connection = server.connect(server.token("worker"))
    response = worker.register(order.fence, 12345)
    assert list(response.revoked) == [12345]
    assert response.term > 1
    stream = worker.open()
    assert first_lease(worker, stream) == order
    worker.train(order)
    client = server.connect()
    worker.work(lambda: ended(client), stream)
    worker.close()
    assert study(client).state == study_pb2.STUDY_STATE_COMPLETED


def test_a_drained_worker_is_told_once_and_leaves(server, client):
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        request = admin_pb2.DrainWorkerRequest(request_id="1", worker="worker")
        assert client.admin.DrainWorker(request).worker.state == admin_pb2.WORKER_STATE_DRAINING
        while not worker.drained:
            worker.note(next(stream))
        worker.report(order.fence, commands.ReleasedReport(reason="drained"))
        worker.send(leaving=True)
        worker.close()
        responses = [worker.note(response) for response in stream]
        assert worker.settled()
        assert not any(responses)
    workers = client.admin.ListWorkers(admin_pb2.ListWorkersRequest()).workers
    assert [each.state for each in workers] == [admin_pb2.WORKER_STATE_GONE]
    with pytest.raises(NotFound):
        client.admin.DrainWorker(admin_pb2.DrainWorkerRequest(request_id="2", worker="wrker"))


def test_a_paused_study_stops_its_path(server, client):
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        client.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id="p", name="study"))
        while not worker.stops:
            worker.note(next(stream))
        assert worker.stops[0][0] == order.fence


def test_a_report_about_anothers_node_is_refused(server, client):
    submit(client)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        steps = commands.StepsReport(node=10**9, start=0, stop=1, train_seconds=0.1, evaluate_seconds=0.0)
        worker.report(order.fence, steps)
        with pytest.raises(InvalidStudy):
            list(stream)


def test_registration_is_answered_alike_when_it_is_repeated(server, client):
    worker = Worker(server.connect(server.token("worker")))
    first = worker.register(request_id="same")
    assert worker.register(request_id="same") == first
    assert first.heartbeat_seconds == 0.1
    assert first.storage == f"{server.settings.storage}/{server.store.identity()}"


@pytest.mark.parametrize(
    "fields", [{"worker": ""}, {"incarnation": ""}, {"slots": []}, {"environment_json": "x"}]
)
def test_a_registration_that_makes_no_sense_names_the_field(server, fields):
    request = worker_pb2.RegisterWorkerRequest(
        request_id="1",
        worker="w",
        incarnation="i",
        environment_json="{}",
        slots=[worker_pb2.Slot(device=worker_pb2.DEVICE_KIND_CPU)],
    )
    for name, value in fields.items():
        request.ClearField(name)
        if value:
            setattr(request, name, value)
    with pytest.raises(InvalidStudy) as refused:
        server.connect(server.token("worker")).workers.RegisterWorker(request)
    assert refused.value.field == next(iter(fields))


def test_checkpoints_reach_clients_that_have_no_storage(server, client, tmp_path):
    """The files come in pieces, whole and in order; the trial's last state is the default."""
    submit(client, space={"lr": [0.1]})
    worker = Worker(server.connect(server.token("worker")))
    contents = {"state.msgpack": b"plain", "tensors.safetensors": bytes(range(256)) * 9000, "empty": b""}

    def publish(order, node, step):
        folder = tmp_path / f"spool-{node}-{step}"
        folder.mkdir()
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        location = CheckpointLocation(plan=order.plan, node=node, step=step, fence=order.fence)
        published = server.server.driver.storage.publish(folder, location, {})
        return commands.PublishedReport(
            node=node,
            step=step,
            size_bytes=published.size_bytes,
            digest=published.digest,
            blocked_seconds=0.0,
            total_seconds=0.0,
        )

    worker.publish = publish
    with working(worker) as stream:
        worker.work(lambda: ended(client) and worker.settled(), stream)
    request = study_pb2.DownloadCheckpointRequest(name="study", trial=0)
    responses = list(client.studies.DownloadCheckpoint(request))
    assert responses[0].step == 3
    assert max(len(response.data) for response in responses) <= 1 << 20
    received: dict[str, bytes] = {}
    current = ""
    for response in responses:
        current = response.file or current
        received[current] = received.get(current, b"") + response.data
    assert next(iter(received)) == "manifest.json"  # by which the client verifies the rest
    assert json.loads(received.pop("manifest.json"))["files"].keys() == contents.keys()
    assert received == contents
    request.step = 2
    with pytest.raises(NotFound) as missing:
        list(client.studies.DownloadCheckpoint(request))
    assert "3" in missing.value.hint


def test_a_checkpoint_that_is_not_the_recorded_one_is_not_given_to_clients(server, client, tmp_path):
    submit(client, space={"lr": [0.1]})
    worker = Worker(server.connect(server.token("worker")))
    recorded = worker.publish

    def publish(order, node, step):
        folder = tmp_path / f"spool-{step}"
        folder.mkdir()
        (folder / "state.msgpack").write_bytes(b"another state")
        location = CheckpointLocation(plan=order.plan, node=node, step=step, fence=order.fence)
        server.server.driver.storage.publish(folder, location, {})
        return recorded(order, node, step)

    worker.publish = publish
    with working(worker) as stream:
        worker.work(lambda: ended(client) and worker.settled(), stream)
    with pytest.raises(HippoError, match="not the one that was recorded"):
        list(client.studies.DownloadCheckpoint(study_pb2.DownloadCheckpointRequest(name="study", trial=0)))


def test_a_lease_says_the_digest_of_the_checkpoint_that_it_starts_from(server, client, tmp_path):
    """
    1. a path is trained to step 1, its state published, and the path given back
    2. the lease that goes on from there says the digest that was reported
    """
    submit(client, space={"lr": [0.1]})
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        assert order.start_digest == ""
        node = order.stages[0].node
        worker.report(
            order.fence,
            commands.StepsReport(node=node, start=0, stop=1, train_seconds=0.1, evaluate_seconds=0.0),
            worker.publish(order, node, 1),
            commands.ReleasedReport(reason="drained"),
        )
        following = first_lease(worker, stream)
    assert following.start == (node, 1, order.fence)
    assert following.start_digest == "d" * 64


def test_files_of_a_checkpoint_that_nobody_needs_go(server, client, tmp_path):
    """A periodic save is dropped when a later one has come: its row and its files, in that order."""
    submit(client, space={"lr": [0.1]})
    worker = Worker(server.connect(server.token("worker")))
    storage = server.server.driver.storage
    with working(worker) as stream:
        order = first_lease(worker, stream)
        node = order.stages[0].node
        folders = []
        for step in (1, 2):
            folder = tmp_path / f"spool-{step}"
            folder.mkdir()
            (folder / "state.msgpack").write_bytes(b"state")
            location = CheckpointLocation(plan=order.plan, node=node, step=step, fence=order.fence)
            folders.append(Path(server.server.driver.storage_address) / location.path)
            storage.publish(folder, location, {})
            steps = commands.StepsReport(
                node=node, start=step - 1, stop=step, train_seconds=0.1, evaluate_seconds=0.0
            )
            worker.report(order.fence, steps)
            worker.report(order.fence, worker.publish(order, node, step))
        while not worker.settled():
            worker.note(next(stream))
        until(lambda: not folders[0].exists(), "the removal of the earlier state")
        assert folders[1].exists()
        kept = client.studies.GetTrial(study_pb2.GetTrialRequest(name="study", trial=0)).checkpoints
        assert [each.step for each in kept] == [2]
        driver = server.server.driver
        until(
            lambda: not server.in_loop(lambda: driver.current().engine.wanted()),
            "an engine that wants nothing more removed",
        )


def test_logs_of_user_code_are_kept_by_node_and_lease(server, client):
    submit(client, space={"lr": [0.1]})
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        node = order.stages[0].node
        append = worker.connection.workers.AppendLog
        append(worker_pb2.AppendLogRequest(fence=order.fence, node=node, offset=0, data=b"epoch 0\n"))
        append(worker_pb2.AppendLogRequest(fence=order.fence, node=node, offset=8, data="größer\n".encode()))
        append(worker_pb2.AppendLogRequest(fence=order.fence, node=node, offset=0, data=b"epoch 0\n"))
        found = list(client.studies.ReadTrialLog(study_pb2.ReadTrialLogRequest(name="study", trial=0)))
        assert [(each.node, each.fence, each.text) for each in found] == [
            (node, order.fence, "epoch 0\ngrößer\n")
        ]
        with pytest.raises(InvalidStudy):
            append(worker_pb2.AppendLogRequest(fence=10**9, node=node, data=b"x"))


def test_leases_whose_logs_another_server_may_have_are_told(server, client):
    """1. A study is trained, in silence. 2. This server has led all terms: nothing is said. 3. It has not: readers are
    told of which leases it has nothing, and where to look.
    """
    submit(client, space={"lr": [0.1]})
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        worker.work(lambda: ended(client), stream)
    asked = study_pb2.ReadTrialLogRequest(name="study", trial=0)
    assert list(client.studies.ReadTrialLog(asked)) == []
    (server.server.settings.lease_logs / "terms").write_text("0")
    (told,) = client.studies.ReadTrialLog(asked)
    assert "Nothing is kept here of what was printed, if anything, in lease 1." in told.text
    assert "in the home of that one, below logs/leases" in told.text


def test_spec_is_what_workers_are_told(server, client):
    """The program and the laws arrive as the study states them."""
    submit(client, space={"lr": [0.1]})
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
    stated = spec(name="study", space={"lr": [0.1]})
    assert order.program == stated.program
    assert order.program_key == stated.program.key
    assert order.setup_laws.values(0) == {"lr": 0.1}
    assert order.objectives == ("accuracy",)
