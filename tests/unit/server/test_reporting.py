"""Reports of several workers that wait at the same time are decided together, and each worker hears only of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from hippo_core.engine.commands import Report, Reports, StepsReport
from hippo_core.engine.engine import Result
from hippo_core.engine.events import LeaseGranted, ReportAccepted
from hippo_core.engine.reports import Accepted
from hippo_core.errors import InvalidStudy, Stale, Unavailable
from hippo_server import reporting
from hippo_server.reporting import Reporting, Taken
from hippo_server.store import Record
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import spec, submit
from tests.unit.engine.test_reports_together import trained

Heard = dict[tuple[int, int], Taken]
"""By fence and number: what a report came to."""


class Shell:
    """An engine, and what its reports came to.

    Args:
        workers: How many slots each worker has, by name.
    """

    def __init__(self, workers: dict[str, int]) -> None:
        self.cluster = Cluster(0, workers)
        submit(self.cluster, spec())
        self.reporting = Reporting(self.cluster.engine, self.decide, self.put)
        self.decisions: list[Reports] = []
        self.puts: list[list[Record]] = []
        self.heard: dict[str, Heard] = {}
        self.failure: Exception | None = None

    def reports(self, name: str) -> list[Report]:
        """What a worker's slots, trained to their ends, have to report."""
        return [each.report(name, "1") for each in trained(self.cluster, name)]

    async def take(self, name: str, reports: Sequence[Report]) -> None:
        """A worker reports."""
        heard = self.heard.setdefault(name, {})

        def note(report: Report, taken: Taken) -> None:
            heard[report.fence, report.number] = taken

        await self.reporting.take(name, reports, note)

    def decide(self, command: Reports, actor: str, cause: str) -> tuple[Result, Record]:
        """As a term does."""
        if self.failure is not None:
            raise self.failure
        self.decisions.append(command)
        outcome = self.cluster.engine.handle(command, self.cluster.now)
        return outcome.result, Record(
            cause=cause,
            events=outcome.events,
            answer=None,
            actor=actor,
            submissions=len(command.reports),
        )

    def put(self, records: Sequence[Record]) -> None:
        """What was decided is written once everybody has been told what it came to."""
        self.puts.append([*records])


def test_what_several_workers_report_at_the_same_time_is_one_decision() -> None:
    """1. Two workers' paths end. 2. Both reports are taken in before any lease is granted. 3. Each hears of its own."""
    shell = Shell({"a": 1, "b": 1})
    first, second = shell.reports("a"), shell.reports("b")

    async def both() -> None:
        await asyncio.gather(shell.take("a", first), shell.take("b", second))

    asyncio.run(both())
    assert [len(each.reports) for each in shell.decisions] == [2]
    assert shell.heard == {
        name: {(report.fence, 1): Accepted(fence=report.fence, number=1)}
        for name, (report,) in (("a", first), ("b", second))
    }
    (records,) = shell.puts
    assert {record.cause for record in records} == {f"Report {first[0].fence}/1 and 1 more"}
    assert [record.actor for record in records] == ["a", "b", "server"]
    assert [record.submissions for record in records] == [1, 1, 0]
    accepted = [
        {event.fence for event in record.events if isinstance(event, ReportAccepted)} for record in records
    ]
    assert accepted == [{first[0].fence}, {second[0].fence}, set()]
    granted = [sum(isinstance(event, LeaseGranted) for event in record.events) for record in records]
    assert granted == [0, 0, 2]


def test_what_one_worker_reports_alone_is_all_its_own() -> None:
    shell = Shell({"a": 2})
    reports = shell.reports("a")
    asyncio.run(shell.take("a", reports))
    ((record,),) = shell.puts
    assert record.actor == "a"
    assert record.submissions == len(reports) == 2


def test_a_report_that_cannot_be_true_ends_nobody_elses() -> None:
    """1. Of a worker's two reports the second is of steps on no path. 2. It alone is left out."""
    shell = Shell({"a": 2, "b": 1})
    (good, bad), other = shell.reports("a"), shell.reports("b")
    nowhere = StepsReport(node=10_000, start=0, stop=1, train_seconds=0.1, evaluate_seconds=0.0)
    bad = replace(bad, items=(nowhere,))

    async def both() -> None:
        found = await asyncio.gather(
            shell.take("a", [good, bad]), shell.take("b", other), return_exceptions=True
        )
        assert [type(each) for each in found] == [InvalidStudy, type(None)]

    asyncio.run(both())
    assert [*shell.heard["a"]] == [(good.fence, 1)]
    assert [*shell.heard["b"]] == [(other[0].fence, 1)]
    assert len(shell.decisions) == 1


def test_a_report_that_came_too_soon_or_late_is_refused_to_its_worker_alone() -> None:
    shell = Shell({"a": 1, "b": 1, "c": 1})
    (early,), (late,), good = shell.reports("a"), shell.reports("b"), shell.reports("c")
    early, late = replace(early, number=2), replace(late, incarnation="0")

    async def all_three() -> None:
        found = await asyncio.gather(
            shell.take("a", [early]), shell.take("b", [late]), shell.take("c", good), return_exceptions=True
        )
        assert [type(each) for each in found] == [Unavailable, type(None), type(None)]

    asyncio.run(all_three())
    assert isinstance(shell.heard["a"][early.fence, 2], Unavailable)
    assert isinstance(shell.heard["b"][late.fence, 1], Stale)
    assert isinstance(shell.heard["c"][good[0].fence, 1], Accepted)


def test_two_reports_of_one_lease_are_decided_one_after_the_other() -> None:
    """A worker's old connection and its new one: what comes second is checked once the first is taken in."""
    shell = Shell({"a": 1})
    (report,) = shell.reports("a")

    async def twice() -> None:
        await asyncio.gather(shell.take("a", [report]), shell.take("a", [report]))

    asyncio.run(twice())
    assert [len(each.reports) for each in shell.decisions] == [1, 1]
    assert (
        sum(isinstance(e, ReportAccepted) for records in shell.puts for r in records for e in r.events) == 1
    )


def test_only_so_many_reports_are_decided_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "REPORTS_AT_ONCE", 2)
    shell = Shell(dict.fromkeys("abc", 1))
    reports = {name: shell.reports(name) for name in "abc"}

    async def all_three() -> None:
        await asyncio.gather(*(shell.take(name, each) for name, each in reports.items()))

    asyncio.run(all_three())
    assert [len(each.reports) for each in shell.decisions] == [2, 1]


def test_whoever_is_decided_first_hears_of_it_before_the_next_are_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is told waits for the commit of all that was decided by then, and so not for that of others' reports."""
    monkeypatch.setattr(reporting, "REPORTS_AT_ONCE", 1)
    shell = Shell(dict.fromkeys("abc", 1))
    reports = {name: shell.reports(name) for name in "abc"}
    decided_by_then: dict[str, int] = {}

    async def report(name: str) -> None:
        await shell.take(name, reports[name])
        decided_by_then[name] = len(shell.decisions)

    async def all_three() -> None:
        await asyncio.gather(*map(report, reports))

    asyncio.run(all_three())
    assert decided_by_then == {"a": 1, "b": 2, "c": 3}


def test_reports_of_a_message_count_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one message stay together, whatever their number; no more than allowed come together otherwise."""
    monkeypatch.setattr(reporting, "REPORTS_AT_ONCE", 2)
    shell = Shell({"a": 1, "b": 3})
    reports = {name: shell.reports(name) for name in "ab"}

    async def both() -> None:
        await asyncio.gather(*(shell.take(name, each) for name, each in reports.items()))

    asyncio.run(both())
    assert [len(each.reports) for each in shell.decisions] == [1, 3]


def test_a_check_that_fails_unexpectedly_refuses_the_reports_of_one_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shell = Shell({"a": 1, "b": 1})
    first, second = shell.reports("a"), shell.reports("b")
    defect = IndexError("unforeseen")

    def check(lease: object, report: Report) -> None:
        if report is first[0]:
            raise defect

    monkeypatch.setattr(reporting, "check_report", check)

    async def both() -> None:
        found = await asyncio.gather(shell.take("a", first), shell.take("b", second), return_exceptions=True)
        assert found == [defect, None]

    asyncio.run(both())
    assert shell.heard["a"] == {}
    assert [*shell.heard["b"]] == [(second[0].fence, 1)]


def test_what_is_decided_is_written_whoever_fails_to_hear_of_it() -> None:
    """A stream that goes wrong with its answer leaves nothing decided and unwritten, of which others are told."""
    shell = Shell({"a": 1, "b": 1})
    first, second = shell.reports("a"), shell.reports("b")
    defect = KeyError("unforeseen")

    def note(report: Report, taken: Taken) -> None:
        raise defect

    async def both() -> None:
        await asyncio.gather(
            shell.take("b", second), shell.reporting.take("a", first, note), return_exceptions=True
        )

    asyncio.run(both())
    assert [*shell.heard["b"]] == [(second[0].fence, 1)]
    (records,) = shell.puts
    assert [record.submissions for record in records] == [1, 1, 0]


def test_where_nothing_is_decided_everybody_hears_why() -> None:
    shell = Shell({"a": 1, "b": 1})
    first, second = shell.reports("a"), shell.reports("b")
    shell.failure = Unavailable("the term is over.", "Connect again.")

    async def both() -> None:
        found = await asyncio.gather(shell.take("a", first), shell.take("b", second), return_exceptions=True)
        assert found == [shell.failure, shell.failure]

    asyncio.run(both())
    assert shell.puts == []
    assert shell.heard == {"a": {}, "b": {}}


def test_what_a_stream_reported_that_has_ended_meanwhile_is_taken_in() -> None:
    """As if it had been decided before the stream's end."""
    shell = Shell({"a": 1, "b": 1})
    first, second = shell.reports("a"), shell.reports("b")

    async def one_leaves() -> None:
        leaving = asyncio.create_task(shell.take("a", first))
        staying = asyncio.create_task(shell.take("b", second))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying

    asyncio.run(one_leaves())
    assert [len(each.reports) for each in shell.decisions] == [2]
    assert isinstance(shell.heard["b"][second[0].fence, 1], Accepted)


@pytest.mark.parametrize(
    ("count", "most"), [(0, 0), (1, 1), (16, 16), (17, 9), (18, 9), (32, 16), (33, 11), (144, 16)]
)
def test_a_messages_parts_are_few_and_as_large_as_each_other(count: int, most: int) -> None:
    assert reporting.together(count) == most
