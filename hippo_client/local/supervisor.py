"""The supervisor's process: ``python -m hippo_client.local.supervisor HOME``."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hippo_client.local import record
from hippo_client.local.children import Child
from hippo_client.local.commands import Commands, environment
from hippo_client.local.home import Home, ServerAddress, port_of
from hippo_client.local.processes import last_words, started_at
from hippo_client.local.progress import committed_steps
from hippo_client.local.protocol import Answer, Request, State, Verb, decode_request, encode
from hippo_client.local.socket_folder import own_folder, remove_deserted
from hippo_client.local.supervisor_exit import EXIT_FOREIGN_SERVER, EXIT_LOCKED
from hippo_core.errors import HippoError, Unavailable

LINGER_SECONDS = 10.0
START_SECONDS = 120.0
# A worker saves at its next step, and a step may be long.
DRAIN_SECONDS = 600.0
STOP_SECONDS = 30.0
GOODBYE_SECONDS = 2.0

log = logging.getLogger("hippo.supervisor")


@dataclass(eq=False, slots=True)
class _Attached:
    writer: StreamWriter
    answered: bool = False  # it has been told that the server is ready


class Supervisor:
    """Keeps a home's server and worker up while somebody is attached.

    One event loop, no threads. ``run`` returns when everything that it started has ended.

    Args:
        home: The home, whose lock the caller holds.
        listens_at: The path of its socket; nothing is there yet.
        commands: How to start server and worker.
        linger_seconds: How long it stays with nobody attached.
    """

    def __init__(
        self,
        home: Home,
        listens_at: Path,
        commands: Commands | None = None,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        self._home = home
        self._commands = commands or Commands()
        self._linger_seconds = linger_seconds
        self._socket = listens_at
        self._attached: list[_Attached] = []
        self._serving: set[asyncio.Task[Any]] = set()
        self._stays = False
        self._server: Child | None = None
        self._worker: Child | None = None
        self._slots: int | None = None
        self._ports = (0, 0)
        self._ready: asyncio.Future[ServerAddress] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self._ended = asyncio.Event()
        self._linger: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve until nobody is attached any more."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._collect)
        loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        listener = await asyncio.start_unix_server(self._serve, path=str(self._socket))
        self._write_record()
        self._await_somebody()
        self._begin(self._watch_progress())
        await self._ending.wait()
        log.info("ending")
        if self._server_is_ready():
            self._tell("This machine's server is being ended; what runs is saved first.")
        await self._end_children()
        listener.close()
        await self._dismiss()
        self._home.record_file.unlink(missing_ok=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        log.info("ended")

    async def _dismiss(self) -> None:
        """Let everybody hear of the end, which tells it from a death, and close the connections."""
        self._ended.set()
        for attached in self._attached:
            if attached.answered:  # others are about to hear why the server did not start
                attached.writer.write(encode(Answer(state=State.ENDED)))
                attached.writer.close()
        if self._serving:
            await asyncio.wait(self._serving, timeout=GOODBYE_SECONDS)

    # --- who is attached ---

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        attached = _Attached(writer=writer)
        task = asyncio.current_task()
        assert task is not None  # a handler of start_unix_server always runs in one
        self._serving.add(task)
        try:
            while line := await reader.readline():
                if not await self._answer(decode_request(line), attached):
                    break
        except (ValueError, ConnectionError) as error:
            log.warning("a client's connection broke: %s", error)
        finally:
            self._forget(attached)
            writer.close()
            self._serving.discard(task)

    async def _answer(self, request: Request, attached: _Attached) -> bool:
        """Do what a client asks.

        Returns:
            Whether the connection goes on.
        """
        if request.verb is Verb.ATTACH and not self._ending.is_set():
            return await self._attach(request, attached)
        if request.verb is Verb.DETACH:
            self._attached = [other for other in self._attached if other is not attached]
            if self._attached or self._stays:
                await _send(attached, Answer(state=State.DETACHED))
                return False
        self._ending.set()
        await _send(attached, Answer(state=State.DRAINING, message="saving what runs"))
        await self._ended.wait()
        await _send(attached, Answer(state=State.ENDED))
        return False

    async def _attach(self, request: Request, attached: _Attached) -> bool:
        self._attached.append(attached)
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self._stays = self._stays or request.stay
        self._start_server(request)
        if request.worker:
            # Beside the server, not after it: most of either's start is imports.
            self._start_worker(request.slots)
        if not self._ready.done():
            await _send(attached, Answer(state=State.STARTING, message="starting the server"))
        try:
            address = await asyncio.shield(self._ready)
        except HippoError as error:
            await _send(attached, Answer(state=State.FAILED, message=error.message, hint=error.hint))
            return False
        attached.answered = True
        await _send(
            attached,
            Answer(
                state=State.READY,
                server=address.grpc,
                http=address.http,
                worker=self._worker is not None,
                slots=self._slots,
                stays=self._stays,
            ),
        )
        return True

    def _forget(self, attached: _Attached) -> None:
        self._attached = [other for other in self._attached if other is not attached]
        self._await_somebody()

    def _await_somebody(self) -> None:
        if self._attached or self._stays or self._linger is not None:
            return
        self._linger = asyncio.get_running_loop().call_later(self._linger_seconds, self._ending.set)

    def _tell(self, message: str) -> None:
        log.warning("%s", message)
        for attached in self._attached:
            attached.writer.write(encode(Answer(state=State.NOTICE, message=message)))

    # --- what runs ---

    def _start_server(self, request: Request) -> None:
        if self._server is not None:
            return
        self._ports = (request.grpc_port, request.http_port)
        self._server = Child(
            "server",
            command=lambda: self._commands.server(self._home, *self._wanted_ports()),
            log=self._home.logs / "server.log",
            environment=environment(),
            on_orphaned=signal.SIGTERM,
            on_change=self._write_record,
            on_trouble=self._server_in_trouble,
        )
        self._begin(self._server.run())
        self._begin(self._await_server(self._server))

    def _wanted_ports(self) -> tuple[int, int]:
        """Where the server is to listen: pages where they were last, so that browsers that are logged in stay so."""
        grpc, http = self._ports
        return grpc, http or self._home.free_page_port()

    def _start_worker(self, slots: int | None) -> None:
        if self._worker is not None:
            return
        self._slots = slots
        # A worker whose supervisor was killed is killed too. It has nothing to lose but the steps since its
        # last save, whereas a drain would hold the home for as long as its current step.
        self._worker = Child(
            "worker",
            command=lambda: self._commands.worker(self._home, slots),
            log=self._home.logs / "worker.log",
            environment=environment(),
            on_orphaned=signal.SIGKILL,
            on_change=self._write_record,
            on_trouble=self._tell,
            on_left=self._worker_left,
        )
        self._begin(self._worker.run())

    def _worker_left(self) -> None:
        """A worker that was drained did not die. The next who wants one gets one."""
        self._worker = None
        self._tell(
            "This machine's worker was drained and has left. `hippo run STUDY.py` or `hippo up` starts it again."
        )

    async def _await_server(self, server: Child) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_SECONDS
        while not self._ready.done():
            address = self._home.server_address()
            if address and server.identity and address.pid == server.identity.pid:
                # What knows the address keeps it: a server that is started again takes the same ports.
                self._ports = (port_of(address.grpc), port_of(address.http))
                self._home.page_port_file.write_text(f"{self._ports[1]}\n")
                self._ready.set_result(address)
                log.info("server ready at %s", address.grpc)
                return
            if loop.time() > deadline:
                self._server_in_trouble(f"The server was not ready within {START_SECONDS:.0f} s.")
                return
            await asyncio.sleep(0.02)

    def _server_is_ready(self) -> bool:
        return self._ready.done() and self._ready.exception() is None

    def _server_in_trouble(self, message: str) -> None:
        if self._ready.done():
            self._tell(message)
            return
        self._ready.set_exception(_cannot_start(self._home))
        self._ready.exception()  # nobody may be attached to hear it
        self._stays = False
        self._ending.set()

    async def _watch_progress(self) -> None:
        """Tell the children's restart delays of committed steps, while one of them waits for some."""
        while True:
            await asyncio.sleep(1.0)
            waiting = [child for child in (self._server, self._worker) if child and child.delays.is_waiting]
            if waiting and self._server_is_ready():
                steps = await committed_steps(self._ready.result().http, self._home)
                for child in waiting:
                    if steps is not None:
                        child.delays.committed(steps)

    async def _end_children(self) -> None:
        # The worker first: what it saves, it tells the server.
        for child, seconds in ((self._worker, DRAIN_SECONDS), (self._server, STOP_SECONDS)):
            if child is not None and not await child.end(seconds):
                log.error("the %s did not end within %.0f s and was killed", child.name, seconds)

    def _collect(self) -> None:
        for child in (self._server, self._worker):
            if child is not None:
                child.collect()

    def _write_record(self) -> None:
        running = [child.identity for child in (self._server, self._worker) if child and child.identity]
        record.write(self._home, self._socket, running)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A defect: without this part the home is not looked after, so end in order and say so in the log.
            log.error("the supervisor ends after an error", exc_info=error)
            self._ending.set()


async def _send(attached: _Attached, answer: Answer) -> None:
    with suppress(ConnectionError):  # the reader finds out that the client has gone
        attached.writer.write(encode(answer))
        await attached.writer.drain()


def _cannot_start(home: Home) -> Unavailable:
    return Unavailable(
        f"The local server cannot start. {last_words(home.logs / 'server.log')}",
        "`hippo doctor` looks for the cause.",
    )


def supervise(home: Home, commands: Commands | None = None, linger_seconds: float = LINGER_SECONDS) -> int:
    """Be the home's supervisor until nobody needs it; the whole life of the process.

    Returns:
        The process's exit code.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    home.create()
    if record.lock(home) is None:
        return EXIT_LOCKED
    record.end_leftovers(home)
    other = home.server_address()
    if other is not None and started_at(other.pid) is not None and _listens(other.grpc):
        log.error("a server that this supervisor did not start (process %d) runs on the home", other.pid)
        return EXIT_FOREIGN_SERVER
    # The home is ours: what a server said that was killed is void, and no worker is to go there.
    home.server_file.unlink(missing_ok=True)

    async def run(path: Path) -> None:
        await Supervisor(home, path, commands, linger_seconds).run()

    remove_deserted()
    with own_folder(home) as path:
        asyncio.run(run(path))
    return 0


def _listens(address: str) -> bool:
    try:
        with socket.create_connection((address.rpartition(":")[0], port_of(address)), timeout=1.0):
            return True
    except OSError:
        return False


def main() -> None:
    """Entry of the process."""
    sys.exit(supervise(Home.at(sys.argv[1])))


if __name__ == "__main__":
    main()
