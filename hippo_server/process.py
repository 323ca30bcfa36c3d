"""The server's process: what it is set up with, and how it serves until it is told to stop.

Imports little: ``hippo-server --help`` reads it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hippo_server.settings import Settings

#: After so long a thread lets another one run that waits for the interpreter.
SWITCH_SECONDS = 0.001


async def serve(settings: Settings) -> None:
    """Serves until told to stop."""
    from hippo_server.server import Server
    from hippo_wire.service_manager import ServiceManager

    manager = ServiceManager.of(os.environ)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    server = Server(settings)
    starting = asyncio.create_task(server.start())
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
    try:
        await starting
    except asyncio.CancelledError:
        return
    manager.ready(f"gRPC at {server.grpc_address}, HTTP at {server.http_address}")
    living = asyncio.create_task(manager.keep_alive())
    try:
        waited: list[asyncio.Future[Any]] = [stopping, server.driver.duties.over]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        manager.stopping("commits what was decided")
        await server.stop()
        living.cancel()
    if server.driver.duties.over.done():
        raise server.driver.duties.over.result()


def prepare_libraries() -> None:
    """Sets what libraries read when they are imported."""
    # The engine's matrices are small: threads of NumPy's libraries would only wait for each other.
    for name in ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # handshakes that fail are their callers' errors


def share_the_interpreter() -> None:
    """Lets threads take turns more often."""
    # The writer's thread comes to it several times a transaction, and each time waits for so long while the event loop
    # is busy; Python's own 5 ms are more than most transactions take.
    sys.setswitchinterval(SWITCH_SECONDS)


def set_title() -> None:
    """Names the process for those who list processes."""
    # Without this the title is written over the environment, which children then lack.
    os.environ["SPT_NOENV"] = "1"
    import setproctitle

    # The title is written over the arguments, which every user of the machine can read.
    shown = re.sub(r"(://[^/\s:@]*):[^/\s@]+@", r"\1:***@", " ".join(sys.argv[1:]))
    setproctitle.setproctitle(f"hippo-server {shown}".rstrip())
