"""Nonsense from a caller costs that call alone: it is refused in words, and the engine lives on in the same term.

What is sent is drawn before anything is known of the server; only then is it filled in with the lease that was granted.
"""

from __future__ import annotations

import copy
import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hippo_core.errors import Conflict, HippoError, InvalidStudy, NotFound, Stale
from hippo_wire.connection import Connection
from hippo_wire.json_text import dump
from hippo_wire.v1 import admin_pb2, study_pb2, worker_pb2
from tests.integration.server.conftest import RunningServer, spec, submit, upload
from tests.integration.server.test_work import first_lease
from tests.integration.server.worker import Worker
from tests.studies import program

SPEC = spec().to_json()
quick = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])

names = st.sampled_from(["study", "", "none", "../x", "x\0", "größer", "a" * 5000])
numbers = st.sampled_from([0, 1, 3, 4, -1, 10**6, 2**31 - 1, -(2**31)])
wide = st.one_of(numbers, st.sampled_from([2**63 - 1, -(2**63)]))
plain = st.recursive(
    st.sampled_from([None, True, False, 0, 1, -1, 2**70, 0.5, -0.0, 1e308, "", "x", "lr", "full", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)


@dataclass(frozen=True)
class Living:
    """One server for all that is sent: it stays in its first term.

    Attributes:
        server: The server.
        client: The owner's connection.
        worker: A worker's connection.
        bystander: A node of a paused study that nobody here may change.
    """

    server: RunningServer
    client: Connection
    worker: Connection
    bystander: int

    def expect_unharmed(self) -> None:
        """It has not had to rebuild its engine, and the bystander's trials are as they were."""
        assert self.client.admin.GetServer(admin_pb2.GetServerRequest()).term == 1
        trials = self.client.studies.ListTrials(study_pb2.ListTrialsRequest(name="bystander")).trials
        assert [(each.number, each.state, each.step) for each in trials] == [
            (number, study_pb2.TRIAL_STATE_WAITING, 0) for number in range(4)
        ]

    def expect_answer_or_refusal(self, call: Callable[[], object]) -> None:
        """The call is answered, or refused by an error that says what is wrong; any other error fails the test."""
        refusal: HippoError | None = None
        try:
            call()
        except (InvalidStudy, NotFound, Conflict, Stale) as error:
            refusal = error
        assert refusal is None or refusal.message
        self.expect_unharmed()


def submit_of_its_own(client: Connection, name: str, **changes: object) -> None:
    """Submits a study of a program of its own, which shares nothing with others."""
    made = spec(name=name, **changes)
    made = spec(name=name, program=program(made.space, options={"study": name}), **changes)
    client.studies.SubmitStudy(
        study_pb2.SubmitStudyRequest(request_id=uuid.uuid4().hex, spec_json=dump(made.to_json()))
    )


@pytest.fixture(scope="module")
def living(tmp_path_factory, new_database, database_template) -> Iterator[Living]:
    server = RunningServer(tmp_path_factory.mktemp("nonsense"), new_database(database_template))
    client = server.connect()
    upload(client)
    submit(client)
    submit_of_its_own(client, "bystander")
    client.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id="pause", name="bystander"))
    detail = client.studies.GetTrial(study_pb2.GetTrialRequest(name="bystander", trial=0))
    made = Living(server, client, server.connect(server.token("worker")), detail.path[0].node)
    made.expect_unharmed()
    yield made
    server.stop()


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
    changed = replaced(path, value)
    if isinstance(changed, dict):
        changed.setdefault("name", "x")
        if changed["name"] == "study":
            changed["name"] = uuid.uuid4().hex
        # Large studies are legal, and take their time.
        assume(not isinstance(changed.get("max_trials"), int) or changed["max_trials"] <= 1000)
    request = study_pb2.SubmitStudyRequest(request_id=uuid.uuid4().hex, spec_json=dump(changed))
    living.expect_answer_or_refusal(lambda: living.client.studies.SubmitStudy(request, timeout=30))


REQUESTS: dict[tuple[str, str], type[Message]] = {
    ("studies", "GetStudy"): study_pb2.GetStudyRequest,
    ("studies", "ListStudies"): study_pb2.ListStudiesRequest,
    ("studies", "ExtendStudy"): study_pb2.ExtendStudyRequest,
    ("studies", "RetryTrials"): study_pb2.RetryTrialsRequest,
    ("studies", "StopTrial"): study_pb2.StopTrialRequest,
    ("studies", "ExtendTrial"): study_pb2.ExtendTrialRequest,
    ("studies", "ForkTrial"): study_pb2.ForkTrialRequest,
    ("studies", "EnqueueTrial"): study_pb2.EnqueueTrialRequest,
    ("studies", "ListResults"): study_pb2.ListResultsRequest,
    ("studies", "AskPoints"): study_pb2.AskPointsRequest,
    ("studies", "ListTrials"): study_pb2.ListTrialsRequest,
    ("studies", "GetTrial"): study_pb2.GetTrialRequest,
    ("studies", "ExplainTrial"): study_pb2.ExplainTrialRequest,
    ("studies", "GetStageTree"): study_pb2.GetStageTreeRequest,
    ("studies", "FindBundle"): study_pb2.FindBundleRequest,
    ("studies", "ReadTrialLog"): study_pb2.ReadTrialLogRequest,
    ("studies", "DownloadCheckpoint"): study_pb2.DownloadCheckpointRequest,
    ("studies", "DownloadBundle"): study_pb2.DownloadBundleRequest,
    ("admin", "DrainWorker"): admin_pb2.DrainWorkerRequest,
}


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, Message]:
    """A service, a method of it, and a request with anything in its fields."""
    service, method = draw(st.sampled_from(sorted(REQUESTS)))
    kind = REQUESTS[service, method]
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.name == "request_id":
            continue
        if field.type == field.TYPE_STRING:
            setattr(message, field.name, draw(names))
        elif field.name == "max_trials":
            setattr(message, field.name, draw(st.sampled_from([-1, 0, 3, 4])))
        elif field.name == "max_steps":
            setattr(message, field.name, draw(st.sampled_from([-1, 0, 2, 3])))
        elif draw(st.booleans()):
            values = numbers if field.type == field.TYPE_INT32 else wide
            if field.is_repeated:
                getattr(message, field.name).extend(draw(st.lists(values, max_size=3)))
            else:
                setattr(message, field.name, draw(values))
    return service, method, message


@quick
@given(calls())
def test_reads_and_changes_of_anything(living, drawn):
    service, method, message = drawn
    if "request_id" in message.DESCRIPTOR.fields_by_name:
        message.request_id = uuid.uuid4().hex

    def call() -> None:
        found = getattr(getattr(living.client, service), method)(message, timeout=30)
        if not hasattr(found, "DESCRIPTOR"):
            list(found)

    living.expect_answer_or_refusal(call)


OWN, ANOTHERS = "a node of the lease", "a node of a study that has nothing to do with it"
# Mostly sense, so that what makes none comes also late in a report, and not only at its beginning.
nodes = st.sampled_from([*[OWN] * 12, ANOTHERS, 0, -1, 2**63 - 1])
steps = st.sampled_from([*[0, 1, 2, 3] * 4, 4, -1, 2**62])
seconds = st.sampled_from([*[0.0, 1.0] * 5, -1.0, float("nan"), float("inf")])
sizes = st.sampled_from([*[0, 3] * 5, -1, 2**63 - 1])
digests = st.sampled_from(["d" * 64] * 5 + ["", "../x", "x\0"])
metrics = st.sampled_from([*[["accuracy"]] * 8, [""], ["größer"], [], ["accuracy", "loss"], ["accuracy"] * 2])
values = st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=1) | st.sampled_from(
    [[], [0.0] * 2]
)
ITEMS: dict[str, tuple[type[Message], dict[str, st.SearchStrategy]]] = {
    "steps": (
        worker_pb2.StepsTrained,
        {"node": nodes, "start": steps, "stop": steps, "train_seconds": seconds},
    ),
    "metrics": (
        worker_pb2.MetricsReported,
        {"node": nodes, "step": steps, "metrics": metrics, "values": values, "evaluated": st.booleans()},
    ),
    "published": (
        worker_pb2.CheckpointPublished,
        {"node": nodes, "step": steps, "size_bytes": sizes, "digest": digests},
    ),
    "unusable": (worker_pb2.CheckpointUnusable, {"node": nodes, "step": steps, "fence": wide}),
    "save_blocked": (worker_pb2.SaveBlocked, {"node": nodes, "step": steps}),
    "save_failed": (worker_pb2.SaveFailed, {"node": nodes, "step": steps}),
    "answered": (worker_pb2.SavePoint, {"node": nodes, "step": steps}),
    "failed": (worker_pb2.PathFailed, {"node": nodes, "step": steps, "failure": st.integers(0, 6)}),
    "trained": (worker_pb2.PathTrained, {}),
    "released": (worker_pb2.PathReleased, {}),
}
items = st.sampled_from(sorted(ITEMS)).flatmap(
    lambda name: st.tuples(st.just(name), st.fixed_dictionaries(ITEMS[name][1]), st.booleans())
)


def report_item(name: str, fields: dict[str, object], will: bool, places: dict[object, int]):
    """The item that was drawn, its places filled in."""
    kind = ITEMS[name][0]
    if "node" in fields:
        fields = {**fields, "node": places.get(fields["node"], fields["node"])}
    made = kind(**fields)
    if name == "answered":
        made = worker_pb2.OfferAnswered(save_point=made, will=will)
    return worker_pb2.ReportItem(**{name: made})


fresh = itertools.count(1)


@quick
@given(
    st.sampled_from(["w", "a" * 128]),
    st.integers(0, 2),
    st.lists(st.lists(items, max_size=3), min_size=1, max_size=3),
)
def test_workers_that_report_anything(living, name, trained, drawn):
    """A worker with a token can lose its own work, and nothing else; all that it says is taken in or refused."""
    submit_of_its_own(living.client, f"fresh-{next(fresh)}", space={"lr": [0.1]})  # so that there is a lease
    worker = Worker(living.worker, name=name)
    worker.register()
    stream = worker.open()
    lease = first_lease(worker, stream)
    places = {OWN: lease.stages[0].node, ANOTHERS: living.bystander}
    honest = ("steps", {"node": OWN, "start": 0, "stop": trained}, False)
    reports = [
        worker_pb2.Report(
            fence=lease.fence, number=number, items=[report_item(*each, places) for each in listed]
        )
        for number, listed in enumerate([[honest] if trained else [], *drawn], 1)
    ]
    worker.send(reports=reports)
    worker.close()

    def listen() -> None:
        for response in stream:
            worker.note(response)
        # What came after an item that ended the lease is told to be void.
        assert worker.acknowledged.get(lease.fence) == len(reports) or lease.fence in worker.revoked

    living.expect_answer_or_refusal(listen)


def test_bytes_that_are_no_message_harm_nobody(living):
    with grpc.insecure_channel(living.server.address) as channel:
        call = channel.unary_unary("/hippo.v1.StudyService/SubmitStudy")
        metadata = [("authorization", f"Bearer {living.server.token('admin')}")]
        for data in (b"\xff" * 100, b"\x0a\xff", bytes(range(256))):
            with pytest.raises(grpc.RpcError):
                call(data, timeout=60, metadata=metadata)
    living.expect_unharmed()


def test_a_message_that_is_too_large_is_refused_and_the_connection_lives(living):
    text = json.dumps({"name": "x" * (70 << 20)})
    with pytest.raises(HippoError):
        living.client.studies.SubmitStudy(
            study_pb2.SubmitStudyRequest(request_id="large", spec_json=text), timeout=30
        )
    living.expect_unharmed()
