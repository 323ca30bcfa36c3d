"""Reports of one lease: numbered when they leave, kept until they are acknowledged, sent again after a reconnect."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from hippo_core.engine.commands import Report, ReportItem, StepsReport

MAX_ITEMS = 1000  #: of a report, so that a message stays far below gRPC's 4 MiB


class Outbox:
    """What is to be said of one lease.

    Items wait, in order, until a report is taken; what came together meanwhile travels together. A report that was
    taken never changes: the server knows by its number whether it has seen it.

    Args:
        worker: Who reports.
        incarnation: In which life.
        fence: Of which lease.
    """

    def __init__(self, worker: str, incarnation: str, fence: int) -> None:
        self.acknowledged = 0
        self._worker = worker
        self._incarnation = incarnation
        self._fence = fence
        self._last = 0
        self._waiting: deque[ReportItem] = deque()
        self._sent: deque[Report] = deque()

    def add(self, item: ReportItem) -> None:
        """Appends what happened next."""
        if isinstance(item, StepsReport) and self._waiting:
            last = self._waiting[-1]
            if isinstance(last, StepsReport) and (last.node, last.stop) == (item.node, item.start):
                self._waiting[-1] = StepsReport(
                    node=last.node,
                    start=last.start,
                    stop=item.stop,
                    train_seconds=last.train_seconds + item.train_seconds,
                    evaluate_seconds=last.evaluate_seconds + item.evaluate_seconds,
                )
                return
        self._waiting.append(item)

    def take(self) -> Report | None:
        """Numbers the next report; None where nothing waits."""
        if not self._waiting:
            return None
        items = tuple(self._waiting.popleft() for _ in range(min(MAX_ITEMS, len(self._waiting))))
        self._last += 1
        report = Report(
            worker=self._worker,
            incarnation=self._incarnation,
            fence=self._fence,
            number=self._last,
            items=items,
        )
        self._sent.append(report)
        return report

    def unacknowledged(self) -> Iterator[Report]:
        """The reports that have to be sent again on a new connection, in order."""
        return iter(tuple(self._sent))

    def acknowledge(self, number: int) -> None:
        """All reports up to this number are committed."""
        self.acknowledged = max(self.acknowledged, number)
        while self._sent and self._sent[0].number <= number:
            self._sent.popleft()

    @property
    def in_flight(self) -> int:
        """How many reports were taken and are not acknowledged."""
        return len(self._sent)

    @property
    def empty(self) -> bool:
        """Whether all that was said is committed."""
        return not self._waiting and not self._sent
