"""Whether a report can be true of its lease. What cannot is a defect of a worker, and stays outside the engine."""

from __future__ import annotations

from typing import NoReturn, assert_never

from hippo_core.engine import commands
from hippo_core.errors import InvalidStudy
from hippo_core.lease import Lease


def check_report(lease: Lease, report: commands.Report) -> None:
    """Checks a lease's next report: its steps go on where the last ones ended, its states lie on the path.

    Raises:
        InvalidStudy: It cannot be true.
    """
    position = _Position(lease)
    for item in report.items:
        match item:
            case commands.StepsReport():
                position.train(item)
            case (
                commands.MetricsReport()
                | commands.PublishedReport()
                | commands.AnsweredReport()
                | commands.SaveFailedReport()
                | commands.SaveBlockedReport()
            ):
                # They may come before the steps that lead to them, which are told in larger pieces.
                position.require_on_path(item.node, item.step)
            case commands.FailedReport():
                position.require_on_path(item.node, item.step, started=True)
            case commands.UnusableReport():
                if (item.node, item.step, item.fence) != lease.start:
                    _refuse(lease, f"does not start from step {item.step} of node {item.node}")
            case commands.TrainedReport() | commands.ReleasedReport():
                continue
            case _:
                assert_never(item)


class _Position:
    """How far a path is trained, as the items of a report go by."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._index = lease.index
        self._step = lease.step

    def train(self, item: commands.StepsReport) -> None:
        """Goes on by the steps of an item."""
        lease = self._lease
        node, _, stop = lease.stages[self._index]
        if node != item.node and self._step == stop and self._index + 1 < len(lease.stages):
            self._index += 1
            node, _, stop = lease.stages[self._index]
        if node != item.node or item.start != self._step or item.stop > stop:
            _refuse(
                lease,
                f"is at step {self._step} of node {node} and cannot have trained"
                f" {item.start}..{item.stop} of node {item.node}",
            )
        self._step = item.stop

    def require_on_path(self, node: int, step: int, *, started: bool = False) -> None:
        """The state must be one that the path passes; with ``started`` also one that a stage begins at."""
        lease = self._lease
        if (node, step) in lease.promises or (lease.start is not None and (node, step) == lease.start[:2]):
            return
        for number, start, stop in lease.stages:
            if number == node and start - started < step <= stop:
                return
        _refuse(lease, f"does not come to step {step} of node {node}")


def _refuse(lease: Lease, why: str) -> NoReturn:
    raise InvalidStudy("reports", f"lease {lease.fence} {why}", "It is a defect of the worker.")
