"""How paths end that have not begun."""

from __future__ import annotations

from hippo_core.engine.commands import FailedReport, ReleasedReport, UnusableReport
from hippo_core.engine.states import FailureClass
from hippo_core.errors import HippoError, InvalidStudy
from hippo_storage.errors import CheckpointCorrupt, CheckpointMissing
from hippo_worker.lease import Ending, Lease


def not_wanted(lease: Lease) -> Ending:
    """The end of a path that was stopped before it began."""
    lease.no_more_saves()
    return ReleasedReport(reason="dropped" if lease.stop is None else lease.stop.reason)


def not_begun(lease: Lease, error: HippoError | OSError) -> Ending:
    """Why a path could not be begun, and whose fault that is."""
    start = lease.order.start
    if isinstance(error, CheckpointMissing | CheckpointCorrupt) and start is not None:
        missing = isinstance(error, CheckpointMissing)
        if not (missing and lease.order.in_memory):
            # A state that was to be found in memory may never have been saved; that is no loss.
            lease.say(
                UnusableReport(
                    node=start[0], step=start[1], fence=start[2], missing=missing, reason=error.message
                )
            )
        return ReleasedReport(reason=f"the state to start from is not to be had: {error.message}")
    node, step = lease.position
    failure = FailureClass.INVALID if isinstance(error, InvalidStudy) else FailureClass.INFRASTRUCTURE
    return FailedReport(failure=failure, message=str(error), traceback="", node=node, step=step)
