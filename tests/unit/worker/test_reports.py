"""Numbering, gathering and sending again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hippo_core.engine.commands import MetricsReport, Report, ReportItem, StepsReport
from hippo_worker.reports import MAX_ITEMS, Outbox


def steps(start: int, stop: int, node: int = 1) -> StepsReport:
    return StepsReport(node=node, start=start, stop=stop, train_seconds=1.0, evaluate_seconds=0.5)


def metrics(step: int) -> MetricsReport:
    return MetricsReport(node=1, step=step, metrics={"a": 1.0}, training={}, evaluated=True)


def make() -> Outbox:
    return Outbox("w", "i", 7)


def test_steps_that_follow_each_other_become_one() -> None:
    outbox = make()
    for item in (steps(0, 1), steps(1, 4), steps(5, 6), metrics(6), steps(6, 7), steps(7, 8, node=2)):
        outbox.add(item)
    report = outbox.take()
    assert report is not None
    joined = StepsReport(node=1, start=0, stop=4, train_seconds=2.0, evaluate_seconds=1.0)
    assert report.items == (joined, steps(5, 6), metrics(6), steps(6, 7), steps(7, 8, node=2))
    assert (report.worker, report.incarnation, report.fence, report.number) == ("w", "i", 7, 1)


def test_a_report_that_was_taken_never_changes() -> None:
    outbox = make()
    outbox.add(steps(0, 1))
    first = outbox.take()
    outbox.add(steps(1, 2))
    assert list(outbox.unacknowledged()) == [first]
    second = outbox.take()
    assert second is not None
    assert second.items == (steps(1, 2),)
    assert second.number == 2


def test_a_report_is_no_longer_than_a_message_may_be() -> None:
    outbox = make()
    for step in range(MAX_ITEMS + 1):
        outbox.add(metrics(step))
    sizes = [len(report.items) for report in iter(outbox.take, None)]
    assert sizes == [MAX_ITEMS, 1]


def test_an_acknowledgement_covers_all_before_it_and_an_old_one_nothing() -> None:
    outbox = make()
    for step in range(3):
        outbox.add(metrics(step))
        outbox.take()
    outbox.acknowledge(2)
    outbox.acknowledge(1)
    assert outbox.acknowledged == 2
    assert [report.number for report in outbox.unacknowledged()] == [3]
    assert (outbox.in_flight, outbox.empty) == (1, False)
    outbox.acknowledge(3)
    assert outbox.empty


@given(st.lists(st.sampled_from(["add", "take", "break", "acknowledge", "lose"]), max_size=60))
def test_whatever_breaks_every_item_arrives_once_in_order(script: list[str]) -> None:
    """A server that takes each number once, in order, has every item that was taken and not only lost."""
    outbox = make()
    wire: list[Report] = []
    known: list[ReportItem] = []
    last = added = 0

    def deliver() -> None:
        nonlocal last
        for report in wire:
            if report.number == last + 1:
                last = report.number
                known.extend(report.items)
        wire.clear()

    for action in [*script, "break", "take", "acknowledge"]:
        match action:
            case "add":
                outbox.add(metrics(added))
                added += 1
            case "take":
                report = outbox.take()
                wire += [] if report is None else [report]
            case "lose":
                wire.clear()
            case "break":
                wire = list(outbox.unacknowledged())
            case "acknowledge":
                deliver()
                outbox.acknowledge(last)
    while not outbox.empty:
        wire = list(outbox.unacknowledged())
        report = outbox.take()
        wire += [] if report is None else [report]
        deliver()
        outbox.acknowledge(last)
    assert known == [metrics(step) for step in range(added)]
