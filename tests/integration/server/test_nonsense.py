"""Nonsense from a caller costs that call alone: it is refused in words, and the engine lives on in the same term."""

from __future__ import annotations

import contextlib
import copy
import json
import uuid

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hippo_core.errors import Conflict, HippoError, InvalidStudy, NotFound, Stale, Unavailable
from hippo_wire.convert import dump
from hippo_wire.v1 import admin_pb2, study_pb2, worker_pb2
from tests.integration.server.conftest import RunningServer, spec, submit, upload
from tests.integration.server.worker import Worker, working

SPEC = spec().to_json()
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

names = st.sampled_from(["study", "", "none", "../x", "x\0", "größer", "a" * 5000])
numbers = st.sampled_from([0, 1, 3, 4, -1, 10**6, 2**31 - 1, -(2**31)])
wide = st.one_of(numbers, st.sampled_from([2**63 - 1, -(2**63)]))
plain = st.recursive(
    st.sampled_from([None, True, False, 0, 1, -1, 2**70, 0.5, -0.0, 1e308, "", "x", "lr", "full", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def living(tmp_path_factory, new_database, database_template):
    """One server for all: whatever is sent, it stays in its first term."""
    server = RunningServer(tmp_path_factory.mktemp("nonsense"), new_database(database_template))
    client = server.connect()
    upload(client)
    submit(client)
    yield server, client
    assert client.admin.GetServer(admin_pb2.GetServerRequest()).term == 1
    assert client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study.name == "study"
    server.stop()


def refuses_in_words(call) -> None:
    """It is answered, or refused by an error that names what is wrong; a defect would be raised here."""
    with contextlib.suppress(InvalidStudy, NotFound, Conflict, Stale):
        call()


def paths(value, prefix=()):
    """Every place in a JSON value."""
    yield prefix
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from paths(child, (*prefix, key))


def replaced(path, value):
    changed = copy.deepcopy(SPEC)
    if not path:
        return value
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return changed


@quick
@given(st.sampled_from(sorted(paths(SPEC), key=str)), plain)
def test_a_study_with_anything_anywhere(living, path, value):
    _, client = living
    changed = replaced(path, value)
    if isinstance(changed, dict):
        changed.setdefault("name", "x")
        if changed["name"] == "study":
            changed["name"] = uuid.uuid4().hex
        # Large studies are legal, and take their time.
        if isinstance(changed.get("max_trials"), int) and changed["max_trials"] > 1000:
            return
    request = study_pb2.SubmitStudyRequest(request_id=uuid.uuid4().hex, spec_json=dump(changed))
    refuses_in_words(lambda: client.studies.SubmitStudy(request, timeout=30))


@quick
@given(st.data())
def test_reads_and_changes_of_anything(living, data):
    _, client = living
    studies = client.studies
    requests = {
        studies.GetStudy: study_pb2.GetStudyRequest,
        studies.ListStudies: study_pb2.ListStudiesRequest,
        studies.ExtendStudy: study_pb2.ExtendStudyRequest,
        studies.RetryTrials: study_pb2.RetryTrialsRequest,
        studies.ListTrials: study_pb2.ListTrialsRequest,
        studies.GetTrial: study_pb2.GetTrialRequest,
        studies.GetStageTree: study_pb2.GetStageTreeRequest,
        studies.FindBundle: study_pb2.FindBundleRequest,
        client.admin.DrainWorker: admin_pb2.DrainWorkerRequest,
        studies.ReadTrialLog: study_pb2.ReadTrialLogRequest,
        studies.DownloadCheckpoint: study_pb2.DownloadCheckpointRequest,
        studies.DownloadBundle: study_pb2.DownloadBundleRequest,
    }
    method = data.draw(st.sampled_from(list(requests)))
    kind = requests[method]
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.name == "request_id":
            message.request_id = uuid.uuid4().hex
        elif field.type == field.TYPE_STRING:
            setattr(message, field.name, data.draw(names))
        elif field.name == "max_trials":
            message.max_trials = data.draw(st.sampled_from([-1, 0, 3, 4]))
        elif field.name == "max_steps":
            message.max_steps = data.draw(st.sampled_from([-1, 0, 2, 3]))
        elif data.draw(st.booleans()):
            setattr(message, field.name, data.draw(numbers if field.type == field.TYPE_INT32 else wide))

    def call() -> None:
        found = method(message, timeout=30)
        if not hasattr(found, "DESCRIPTOR"):
            list(found)

    refuses_in_words(call)


@quick
@given(st.data())
def test_workers_that_report_anything(living, data):
    """A worker with a token can lose its own work, and nothing else."""
    server, client = living
    worker = Worker(server.connect(server.token("worker")), name=data.draw(st.sampled_from(["w", "größer"])))
    metric = st.builds(
        worker_pb2.ReportedMetric, name=names, value=st.floats(allow_nan=True, allow_infinity=True)
    )
    with contextlib.closing(worker.connection), working(worker) as stream:
        response = next(stream)
        lease = response.leases[0] if response.leases else worker_pb2.Lease(fence=1)
        worker.note(response)
        inside = lease.stages[0].node if lease.stages else 1
        node = st.sampled_from([inside, 0, -1, 2**63 - 1])
        step = st.sampled_from([0, 1, 2, 3, 4, -1, 2**62])
        item = st.one_of(
            st.builds(
                worker_pb2.StepsTrained,
                node=node,
                start=step,
                stop=step,
                train_seconds=st.sampled_from([0.0, 1.0, -1.0, float("nan"), float("inf")]),
            ).map(lambda each: worker_pb2.ReportItem(steps=each)),
            st.builds(
                worker_pb2.MetricsReported,
                node=node,
                step=step,
                metrics=st.lists(metric, max_size=2),
                evaluated=st.booleans(),
            ).map(lambda each: worker_pb2.ReportItem(metrics=each)),
            st.builds(
                worker_pb2.CheckpointPublished, node=node, step=step, size_bytes=wide, digest=names
            ).map(lambda each: worker_pb2.ReportItem(published=each)),
            st.builds(worker_pb2.CheckpointUnusable, node=node, step=step, fence=wide).map(
                lambda each: worker_pb2.ReportItem(unusable=each)
            ),
            st.builds(worker_pb2.SaveFailed, node=node, step=step).map(
                lambda each: worker_pb2.ReportItem(save_failed=each)
            ),
            st.builds(
                worker_pb2.OfferAnswered,
                save_point=st.builds(worker_pb2.SavePoint, node=node, step=step),
                will=st.booleans(),
            ).map(lambda each: worker_pb2.ReportItem(answered=each)),
            st.builds(worker_pb2.PathFailed, node=node, step=step, failure=st.integers(0, 6)).map(
                lambda each: worker_pb2.ReportItem(failed=each)
            ),
            st.just(worker_pb2.ReportItem(trained=worker_pb2.PathTrained())),
            st.just(worker_pb2.ReportItem(released=worker_pb2.PathReleased())),
            st.just(worker_pb2.ReportItem()),
        )
        reports = [
            worker_pb2.Report(fence=lease.fence, number=number, items=items)
            for number, items in enumerate(data.draw(st.lists(st.lists(item, max_size=3), max_size=3)), 1)
        ]
        worker.send(reports=reports)
        worker.close()
        try:
            list(stream)
        except (InvalidStudy, Stale):
            pass
        except Unavailable as error:
            raise AssertionError(f"the engine had to be rebuilt: {error}") from error
    assert client.admin.GetServer(admin_pb2.GetServerRequest()).term == 1


def test_bytes_that_are_no_message_harm_nobody(living):
    server, client = living
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/hippo.v1.StudyService/SubmitStudy")
        metadata = [("authorization", f"Bearer {server.token('admin')}")]
        for data in (b"\xff" * 100, b"\x0a\xff", bytes(range(256))):
            with pytest.raises(grpc.RpcError):
                call(data, timeout=10, metadata=metadata)
    client.studies.GetStudy(study_pb2.GetStudyRequest(name="study"))


def test_a_message_that_is_too_large_is_refused_and_the_connection_lives(living):
    _, client = living
    text = json.dumps({"name": "x" * (70 << 20)})
    with pytest.raises(HippoError):
        client.studies.SubmitStudy(
            study_pb2.SubmitStudyRequest(request_id="large", spec_json=text), timeout=30
        )
    client.studies.GetStudy(study_pb2.GetStudyRequest(name="study"))
