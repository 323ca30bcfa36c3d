"""What a runner does: trains the paths that its daemon sends, one after the other, until it is told to end.

A runner trains one program for one daemon. What may differ between programs (the bundle, the environment's
variables, imported modules) never has to be undone: another program gets another runner.
"""

from __future__ import annotations

import faulthandler
import json
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippo_core.engine.states import FailureClass
from hippo_worker.hosting.link import Failed, PathResult, Released, Trained
from hippo_worker.hosting.order import SetupOrder
from hippo_worker.runner import messages
from hippo_worker.runner.ahead import GetsReady, order_of
from hippo_worker.runner.capture import Capture
from hippo_worker.runner.finishing import finish
from hippo_worker.runner.link import Wire
from hippo_worker.runner.settings import RunnerSettings
from hippo_worker.runner.stack import answer_dumps
from hippo_worker.titles import set_title

if TYPE_CHECKING:
    from hippo_worker.hosting.host import PathHost


def run(connection: socket.socket, settings: RunnerSettings) -> int:
    """Trains paths until the daemon says that it is enough, or the device has failed. Returns the exit status."""
    capture = Capture(settings.folder / "runner.log")
    faulthandler.enable()
    answer_dumps(settings.folder)
    set_title(f"hippo-runner slot {settings.slot}")
    from hippo_worker.hosting.host import PathHost  # with torch, which a fork has already

    host = PathHost(settings.device, settings.threads, settings.gpu_memory_fraction)
    wire = Wire(connection, ahead=GetsReady(host, capture))
    wire.tell(messages.Ready(), now=True)
    try:
        while host.usable and (told := wire.orders.get()) is not None:
            carry_out(host, wire, capture, told)
    finally:
        wire.flush()  # how a path ended is told even where the next one cannot begin
    host.close()
    return 0


def carry_out(host: PathHost, wire: Wire, capture: Capture, told: messages.Run | messages.Prepare) -> None:
    """Does what the daemon said."""
    if isinstance(told, messages.Prepare):
        _make_ready(host, wire, capture, told)
    else:
        _train(host, wire, capture, told)


def _make_ready(host: PathHost, wire: Wire, capture: Capture, prepare: messages.Prepare) -> None:
    """Makes a trainer for a path that is still to come; where it cannot be made, nothing is trained here.

    Whatever that is, it is not told as a failure: the path meets with it in a process of its own, if it comes.
    """
    capture.keep_for_next()
    failure = ""
    try:
        order = SetupOrder.from_plain(json.loads(prepare.order_json))
        os.chdir(order.code)
        os.environ.pop("TRACEPARENT", None)
        host.make_ready(order)
    except Exception as error:  # noqa: BLE001 - a defect of the host, too
        host.usable = False
        cause = error.__cause__ or error  # what user code raised
        failure = f"{type(cause).__name__}: {cause}"
    wire.tell(messages.Prepared(failure=failure), now=True)


def _train(host: PathHost, wire: Wire, capture: Capture, run: messages.Run) -> None:
    logs = Path(run.logs)
    link = wire.begin(run.fence, lambda node: capture.to_node(run.fence, logs, node))
    if link is None:
        wire.flush()
        return
    order = order_of(run.order_json)
    # A study's files lie beside its code, as they do where it was written.
    os.chdir(order.code)
    # What comes before is none of the path's doing: a runner that dies of it has not begun the path.
    wire.tell(messages.Begun(fence=run.fence), now=True)
    os.environ.pop("TRACEPARENT", None)
    if run.traceparent:
        os.environ["TRACEPARENT"] = run.traceparent
    capture.to_node(run.fence, logs, order.stages[0].node)
    try:
        result: PathResult = host.run(order, link)
    except Exception as error:  # noqa: BLE001 - a defect of the host must reach the daemon, not end the runner
        result = Failed(
            failure=FailureClass.INFRASTRUCTURE,
            message=f"the runner failed: {type(error).__name__}: {error}",
            traceback=traceback.format_exc(),
            node=order.stages[0].node,
            step=order.stages[0].start,
        )
    else:
        if isinstance(result, Failed) and result.traceback:
            # Into the log of the stage, where people look for it.
            print(result.traceback, file=sys.stderr, flush=True)  # noqa: T201
    finally:
        capture.to_idle()
        wire.close_path(order.fence)
    # Where the next path waits here, its beginning is said in the same breath.
    wire.tell(_ended(host, order.fence, result), now=wire.orders.empty() or not host.usable)
    if not isinstance(result, Trained):
        # Nothing is reported of a lease after its end, so its saves have to be known first. The end of a path that
        # was trained is told by its last save, and the next path begins meanwhile.
        wire.flush()
        host.finish_saves()
        wire.tell(messages.Settled(fence=order.fence), now=True)


def _ended(host: PathHost, fence: int, result: PathResult) -> messages.Message:
    held = host.holds()
    holds = None if held is None else list(held[:2])
    match result:
        case Trained():
            return messages.Trained(fence=fence, holds=holds)
        case Released(reason=reason):
            return messages.Released(fence=fence, reason=reason, holds=holds)
        case Failed():
            return messages.Failed(
                fence=fence,
                failure=result.failure.value,
                message=result.message,
                traceback=result.traceback,
                node=result.node,
                step=result.step,
            )


def start(connection: socket.socket, settings: dict[str, Any]) -> int:
    """Runs with plain settings."""
    return run(connection, RunnerSettings.from_plain(settings))


def main() -> None:
    """A runner in an interpreter of its own: the socket comes as a descriptor's number, the settings as JSON."""
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        finish(start(connection, json.loads(sys.argv[2])))


if __name__ == "__main__":
    main()
