"""Reports of all workers: those that have come by the time that one is decided are decided together.

What follows from reports, above all which slot runs what next, is then worked out once for all of them, and they go to
the writer, to streams and to the metrics together. So the more workers there are, the less each of their reports costs.
Whoever comes first is decided first, and nobody waits for company.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from hippo_core.engine.commands import Report, Reports
from hippo_core.engine.engine import Engine, Result
from hippo_core.engine.reports import Accepted, Reported
from hippo_core.errors import Stale, Unavailable
from hippo_server.report_checks import check_report
from hippo_server.store import Record

#: At most so many reports of several messages are decided, and given to the writer, before others have their turn. They
#: are written while the next are decided.
REPORTS_AT_ONCE = 16


def together(count: int) -> int:
    """How many of a message's reports are decided together: so that its parts are few, and as large as each other.

    One part is written while the next is decided, which pays only as far as both take as long.

    Args:
        count: How many reports the message has.
    """
    parts = max(1, -(-count // REPORTS_AT_ONCE))
    return -(-count // parts)


Taken = Accepted | Stale | Unavailable
"""What a report came to."""


@dataclass(slots=True, eq=False)
class _Told:
    """What one worker reports at once, each of another lease.

    Attributes:
        worker: Its name.
        reports: In order.
        note: Called with each, and what it came to, before anybody else hears of that.
        over: Done once all are decided.
        wrong: Why one cannot be true, or came too soon, or nothing was decided.
    """

    worker: str
    reports: Sequence[Report]
    note: Callable[[Report, Taken], None]
    over: asyncio.Future[None]
    wrong: Exception | None = None


def soon(callback: Callable[[], None]) -> None:
    """Has it called once all that is ready now has had its turn."""
    asyncio.get_running_loop().call_soon(callback)


class Reporting:
    """The reports of one term that are still to be decided. To be used in one event loop.

    Args:
        engine: In whose state leases are looked up.
        decide: Decides a command, given its actor and its cause.
        put: Hands decided records to the writer.
    """

    def __init__(
        self,
        engine: Engine,
        decide: Callable[[Reports, str, str], tuple[Result, Record]],
        put: Callable[[Sequence[Record]], None],
    ) -> None:
        self._engine = engine
        self._decide = decide
        self._put = put
        self._waiting: deque[_Told] = deque()

    async def take(
        self, worker: str, reports: Sequence[Report], note: Callable[[Report, Taken], None]
    ) -> None:
        """Has reports decided; what came before one that cannot be true is kept.

        Args:
            worker: Who reports.
            reports: Each of another lease.
            note: Called with each, and what it came to; that may be told once it is committed.

        Raises:
            InvalidStudy: One cannot be true.
            Unavailable: One has come too soon, and the others are taken in; or nothing is decided any more.
        """
        told = _Told(worker, reports, note, asyncio.get_running_loop().create_future())
        if not self._waiting:
            soon(self._decide_some)
        self._waiting.append(told)
        await told.over

    def _decide_some(self) -> None:
        together = list(self._next())
        for told in together:
            self._check(told)
        try:
            self._decide_together([told for told in together if told.reports])
        except Exception as error:  # noqa: BLE001 - it is raised where the reports came from
            for told in together:
                told.wrong = told.wrong or error
        for told in together:
            if told.over.done():  # the worker's stream has ended
                continue
            if told.wrong is None:
                told.over.set_result(None)
            else:
                told.over.set_exception(told.wrong)
        # After those who hear of this: they would else wait for the commit of the next as well.
        if self._waiting:
            soon(self._decide_some)

    def _next(self) -> Iterator[_Told]:
        """Those whose turn it is: not two reports of a lease, as the second is checked when the first is taken in."""
        fences = set[int]()
        while self._waiting and len(fences) < REPORTS_AT_ONCE:
            own = {report.fence for report in self._waiting[0].reports}
            if not fences.isdisjoint(own) or (fences and len(fences) + len(own) > REPORTS_AT_ONCE):
                return
            fences |= own
            yield self._waiting.popleft()

    def _check(self, told: _Told) -> None:
        """Leaves a report that cannot be true out, and what comes after it. Its worker's error is no other's."""
        state = self._engine.state
        for place, report in enumerate(told.reports):
            lease = state.leases.get(report.fence) or state.orphans.get(report.fence)
            if lease is None or report.number != lease.report + 1:
                continue
            try:
                check_report(lease, report)
            except Exception as error:  # noqa: BLE001 - it is raised where the report came from
                told.reports, told.wrong = told.reports[:place], error
                return

    def _decide_together(self, together: Sequence[_Told]) -> None:
        if not together:
            return
        reports = tuple(report for told in together for report in told.reports)
        others = len(reports) - 1
        cause = f"Report {reports[0].fence}/{reports[0].number}{f' and {others} more' if others else ''}"
        result, record = self._decide(Reports(reports=reports), together[0].worker, cause)
        assert isinstance(result, Reported)
        self._put(list(_by_worker(together, result, record)))
        place = 0
        for told in together:
            for report in told.reports:
                taken = result.taken[place]
                place += 1
                told.note(report, taken)
                if isinstance(taken, Unavailable):
                    told.wrong = told.wrong or taken


def _by_worker(together: Sequence[_Told], result: Reported, record: Record) -> Iterator[Record]:
    """The record of one decision, in parts: what is of one worker's reports, and what followed from all of them.

    Their cause is the same, as they are of one decision.
    """
    if len({told.worker for told in together}) == 1:
        yield record
        return
    place = first = 0
    for told in together:
        place += len(told.reports)
        upto = result.upto[place - 1]
        events = record.events[first:upto]
        yield replace(record, events=events, actor=told.worker, submissions=len(told.reports))
        first = upto
    yield replace(record, events=record.events[first:], actor="server", submissions=0)
