"""What one side says is what the other side hears: round trips of everything that workers and server exchange."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core import space as domains
from hippo_core.engine import commands as co
from hippo_core.engine.states import FailureClass, StudyState, TrialState, WorkerState
from hippo_core.errors import InvalidStudy
from hippo_core.formulas import Constant
from hippo_core.laws import Form, law
from hippo_core.lease_order import LeaseOrder, PrepareOrder, StageOrder
from hippo_core.schedules import cosine, piecewise
from hippo_core.sequence import Laws
from hippo_wire import enums
from hippo_wire.json_text import DEEPEST, dump, load_object
from hippo_wire.orders import (
    lease_from_proto,
    lease_to_proto,
    offer_from_proto,
    offers_to_proto,
    preparation_from_proto,
    preparation_to_proto,
    stop_from_proto,
    stops_to_proto,
)
from hippo_wire.registrations import register_from_proto, register_to_proto
from hippo_wire.reports import report_from_proto, report_to_proto
from hippo_wire.v1 import worker_pb2
from tests.studies import grid

whole = st.integers(0, 2**63 - 1)
words = st.text(st.characters(codec="utf-8"), max_size=40)
seconds = st.floats(0, 1e9)
numbers = st.dictionaries(words, st.floats(allow_nan=True), max_size=4)


def values(kind, **fields):
    return st.builds(kind, **fields)


steps = st.tuples(st.integers(0, 2**62), st.integers(1, 2**62)).map(lambda pair: (pair[0], sum(pair)))
items = st.one_of(
    st.builds(
        lambda node, span, train, evaluate: co.StepsReport(
            node=node, start=span[0], stop=span[1], train_seconds=train, evaluate_seconds=evaluate
        ),
        whole,
        steps,
        seconds,
        seconds,
    ),
    values(
        co.MetricsReport, node=whole, step=whole, metrics=numbers, training=numbers, evaluated=st.booleans()
    ),
    values(
        co.PublishedReport,
        node=whole,
        step=whole,
        size_bytes=whole,
        digest=words,
        blocked_seconds=seconds,
        total_seconds=seconds,
    ),
    values(co.UnusableReport, node=whole, step=whole, fence=whole, missing=st.booleans(), reason=words),
    values(co.SaveBlockedReport, node=whole, step=whole, reason=words),
    values(co.SaveFailedReport, node=whole, step=whole, reason=words, full=st.booleans()),
    values(co.AnsweredReport, node=whole, step=whole, will=st.booleans()),
    values(co.TrainedReport),
    values(
        co.FailedReport,
        failure=st.sampled_from(FailureClass),
        message=words,
        traceback=words,
        node=whole,
        step=whole,
    ),
    values(co.ReleasedReport, reason=words),
)
reports = values(
    co.Report,
    worker=words,
    incarnation=words,
    fence=whole,
    number=whole,
    items=st.lists(items, max_size=4).map(tuple),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def same(one, other):
    """Equality in which NaN is itself, since a diverged metric travels as it is."""
    return repr(one) == repr(other)


@given(reports)
def test_a_report_arrives_as_it_was_sent(report):
    message = worker_pb2.Report.FromString(report_to_proto(report).SerializeToString())
    arrived = report_from_proto(message, report.worker, report.incarnation)
    assert same(arrived.items, report.items)
    assert (arrived.fence, arrived.number) == (report.fence, report.number)


def test_what_is_not_finite_travels_as_it_is():
    metrics = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": -0.0}
    item = co.MetricsReport(node=1, step=1, metrics=metrics, training={}, evaluated=True)
    report = co.Report(worker="w", incarnation="i", fence=1, number=1, items=(item,))
    arrived = report_from_proto(report_to_proto(report), "w", "i")
    assert same(arrived, report)


@given(
    st.builds(
        lambda worker, incarnation, host, slots, environment, labels, leases: co.RegisterWorker(
            worker=worker,
            incarnation=incarnation,
            host=host,
            slots=tuple(
                co.SlotSpec(index=index, device=device, model=model, cpus=cpus, gpus=gpus)
                for index, (device, model, cpus, gpus) in enumerate(slots)
            ),
            environment=environment,
            labels=dict(sorted(labels.items())),
            leases=leases,
        ),
        words.filter(bool),
        words.filter(bool),
        words,
        st.lists(
            st.tuples(st.sampled_from(["cpu", "cuda"]), words, st.integers(0, 999), st.integers(0, 1)),
            min_size=1,
            max_size=4,
        ),
        st.dictionaries(words, json_values, max_size=4),
        st.dictionaries(words, words, max_size=4),
        st.lists(values(co.HeldLease, fence=whole, acknowledged=whole), max_size=4).map(tuple),
    )
)
def test_a_registration_arrives_as_it_was_sent(command):
    request = register_to_proto(command, "id")
    message = worker_pb2.RegisterWorkerRequest.FromString(request.SerializeToString())
    assert register_from_proto(message) == command
    assert message.request_id == "id"


def order(**changes) -> LeaseOrder:
    space = {
        "lr": domains.choice([piecewise([0.1, 0.01], milestones=[3]), cosine(0.1, 0.0, period=9)]),
        "name": domains.choice(["größer", None, True, (1, "two")]),
    }
    spec = grid(space, secrets=("TOKEN",), checkpoint_every=4)
    sequence = spec.sequence(spec.point(1))
    stages = (
        StageOrder(node=1, start=0, stop=3, laws=sequence.laws(0)),
        StageOrder(node=2, start=3, stop=9, laws=sequence.laws(3)),
    )
    fields = {
        "fence": 7,
        "slot": 1,
        "plan": 3,
        "program": spec.program,
        "program_key": spec.program.key,
        "bundle": "b" * 64,
        "setup_laws": sequence.laws(0),
        "start": None,
        "in_memory": False,
        "stages": stages,
        "save_points": ((1, 3), (2, 9)),
        "checkpoint_every": 4,
        "secrets": spec.secrets,
        "objectives": ("accuracy",),
    }
    return LeaseOrder(**(fields | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"start": (1, 3, 5), "in_memory": True},
        {"start": (1, 3, 5), "start_digest": "d" * 64},
        {"start": (0, 0, 0), "in_memory": False},
        {"checkpoint_every": None, "save_points": (), "secrets": (), "slot": 0},
        {"alone": True, "stall_seconds": 60.0},
    ],
)
def test_a_lease_arrives_as_it_was_granted(changes):
    granted = order(**changes)
    message = worker_pb2.Lease.FromString(lease_to_proto(granted).SerializeToString())
    assert lease_from_proto(message) == granted


def test_programs_and_laws_that_differ_in_little_are_told_apart():
    """What is written once for many leases is of equal programs and laws alone: 1 is not 1.0 there."""
    first = order()
    others = [
        replace(first.program, **changes)
        for changes in (
            {"resources": replace(first.program.resources, accelerator="same")},
            {"seed": 1},
            {"options": {"width": 1}},
            {"options": {"width": 1.0}},
            {"options": {"width": True}},
        )
    ]
    laws = [Laws.of({"lr": law(Constant(value), 0, Form.PLAIN)}) for value in (1, 1.0, True, "1")]
    for program in (first.program, *others, first.program):
        for setup in laws:
            granted = order(program=program, program_key=program.key, setup_laws=setup)
            back = lease_from_proto(lease_to_proto(granted))
            assert back == granted
            assert repr(back.program.options) == repr(program.options)
            assert repr(back.setup_laws) == repr(setup)


@pytest.mark.parametrize("secrets", [(), ("KEY", "OTHER")])
def test_what_a_slot_is_made_ready_for_arrives_as_it_was_said(secrets):
    lease = order()
    wanted = PrepareOrder(
        slot=3,
        plan=lease.plan,
        program=lease.program,
        program_key=lease.program_key,
        bundle=lease.bundle,
        setup_laws=lease.setup_laws,
        secrets=secrets,
    )
    message = worker_pb2.Preparation.FromString(preparation_to_proto(wanted).SerializeToString())
    assert preparation_from_proto(message) == wanted


@given(st.lists(st.tuples(whole, whole, whole)), st.lists(st.tuples(whole, st.booleans(), words)))
def test_offers_and_stops_arrive_as_they_were_made(offers, stops):
    assert [offer_from_proto(each) for each in offers_to_proto(offers)] == offers
    assert [stop_from_proto(each) for each in stops_to_proto(stops)] == stops


@pytest.mark.parametrize(
    ("states", "back"),
    [
        (enums.STUDY_STATES, enums.study_state),
        (enums.TRIAL_STATES, enums.trial_state),
        (enums.WORKER_STATES, enums.worker_state),
        (enums.FAILURE_CLASSES, enums.failure_class),
        (enums.DEVICE_KINDS, enums.device_kind),
        (enums.OUTCOMES, enums.outcome),
    ],
)
def test_every_state_has_a_number_of_its_own(states, back):
    assert [back(number) for number in states.values()] == list(states)
    for unknown in (0, 99):
        with pytest.raises(InvalidStudy):
            back(unknown)


def test_no_state_was_forgotten():
    assert set(enums.STUDY_STATES) == set(StudyState)
    assert set(enums.TRIAL_STATES) == set(TrialState)
    assert set(enums.WORKER_STATES) == set(WorkerState)
    assert set(enums.FAILURE_CLASSES) == set(FailureClass)


@pytest.mark.parametrize(
    "item",
    [
        worker_pb2.ReportItem(),
        worker_pb2.ReportItem(steps=worker_pb2.StepsTrained(node=1, start=3, stop=3)),
        worker_pb2.ReportItem(steps=worker_pb2.StepsTrained(node=1, start=-1, stop=3)),
        worker_pb2.ReportItem(failed=worker_pb2.PathFailed(failure=99)),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_engine_sees_it(item):
    with pytest.raises(InvalidStudy):
        report_from_proto(worker_pb2.Report(fence=1, number=1, items=[item]), "w", "i")


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "1", "null", '"text"', '{"a": NaN}', '{"a": Infinity}', "[" * 100_000]
)
def test_a_field_that_is_no_object_is_named(text):
    with pytest.raises(InvalidStudy) as refused:
        load_object(text, "spec_json")
    assert refused.value.field == "spec_json"


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_an_object_is_nested_up_to_a_depth_and_no_deeper(opening, closing):
    """Deeper ones may be read, but would end the server's recursion in the midst of a change."""

    def nested(levels):
        return json.loads(opening * levels + "1" + closing * levels)

    load_object(dump({"x": nested(DEEPEST - 2)}), "point_json")
    for levels in (DEEPEST, 800):
        with pytest.raises(InvalidStudy, match="point_json: is nested deeper than 100 levels"):
            load_object(dump({"x": nested(levels)}), "point_json")
