"""Attaching to a home's supervisor, starting it where there is none."""

from __future__ import annotations

import errno
import importlib.util
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from hippo_client.local.home import Home, ServerAddress, port_of
from hippo_client.local.protocol import Answer, Request, State, Verb, decode_answer, encode
from hippo_core.errors import Conflict, Unavailable

#: A supervisor that cannot be reached for so long, though nothing says why, will not come.
CONNECT_SECONDS = 30.0
#: A supervisor may be on its way out when one comes, but not again and again.
ATTEMPTS = 5
_POLL_SECONDS = 0.02

Tell = Callable[[str], None]
Result = TypeVar("Result")


class Attachment:
    """A hold on a home's server (and worker), until ``close``, the end of this object or of the process.

    Args:
        home: The home.
        command: The command line of a supervisor.
        connection: The connection to it; closed with this object.
        ready: What it answered.

    Attributes:
        server: ``host:port`` of gRPC.
        http: ``host:port`` of HTTP.
        token: The owner's token.
        slots: What whoever attached first asked the worker to have; None: as many as fit, or no worker.
        stays: Whether server and worker stay when nobody is attached.
    """

    def __init__(self, home: Home, command: Sequence[str], connection: _Connection, ready: Answer) -> None:
        self._home = home
        self._worker = ready.worker
        self._command = command
        self._connection = connection
        self._notices: list[str] = []
        self._ended = False
        self.server = ready.server
        self.http = ready.http
        self.slots = ready.slots
        self.stays = ready.stays
        self.token = home.admin_token()

    def notices(self) -> list[str]:
        """What the supervisor has to say since the last call: a child that keeps dying, say.

        Raises:
            Unavailable: It has ended, or was killed.
        """
        self._hear()
        if self._connection.at_end:
            how = "has been ended" if self._ended else "has gone: its supervisor was killed"
            raise Unavailable(f"This machine's server {how}.", "Run again to resume.")
        said, self._notices = self._notices, []
        return said

    @property
    def is_lost(self) -> bool:
        """Whether the supervisor was killed: one that ends takes its leave."""
        self._hear()
        return self._connection.at_end and not self._ended

    def again(self, tell: Tell | None = None) -> Attachment:
        """Attach after the supervisor was killed. The next one is to be as it was, and its server where it was.

        Raises:
            Unavailable: The server cannot be started.
            Conflict: A server that was started by hand runs on the home.
        """
        self.close()
        as_it_was = Request(
            verb=Verb.ATTACH,
            worker=self._worker,
            slots=self.slots,
            stay=self.stays,
            grpc_port=port_of(self.server),
            http_port=port_of(self.http),
        )
        return _attach(self._home, as_it_was, self._command, tell)

    def _hear(self) -> None:
        for answer in self._connection.waiting():
            if answer.state is State.NOTICE:
                self._notices.append(answer.message)
            self._ended = self._ended or answer.state is State.ENDED

    def drain(self, tell: Tell | None = None) -> bool:
        """Detach; if nobody else is attached, wait until what runs is saved and everything has ended.

        Returns:
            Whether it has ended; False: others are attached, or want it to stay.
        """
        try:
            self._connection.send(Request(verb=Verb.DETACH))
            while (answer := self._connection.receive()) is not None:
                if answer.state is State.DETACHED:
                    return False
                if answer.state is State.DRAINING and tell is not None:
                    tell(answer.message)
            return True
        finally:
            self._connection.close()

    def close(self) -> None:
        """Detach. The supervisor ends by itself when nobody has been attached for ten seconds."""
        self._connection.close()

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def attach(
    home: Home | Path | str | None = None,
    slots: int | None = None,
    worker: bool = True,
    *,
    stay: bool = False,
    ports: tuple[int, int] = (0, 0),
    tell: Tell | None = None,
    launch: Sequence[str] | None = None,
) -> Attachment:
    """Hold the home's server up; start it where it does not run.

    Args:
        home: The home, by default the user's.
        slots: How many paths the worker trains at a time, by default as many as fit the machine.
        worker: Whether a worker is needed.
        stay: Whether server and worker stay when nobody is attached.
        ports: Of gRPC and HTTP if the server is to be started; 0: any free one.
        tell: Hears what is going on, in a few words.
        launch: Command line of another supervisor.

    Raises:
        Unavailable: The server cannot be started.
        Conflict: A server that was started by hand runs on the home.
        NotAllowed: The home cannot be written.
    """
    place = home if isinstance(home, Home) else Home.at(home)
    _require_local_programs(worker)
    place.create()
    request = Request(
        verb=Verb.ATTACH, worker=worker, slots=slots, stay=stay, grpc_port=ports[0], http_port=ports[1]
    )
    command = launch or [sys.executable, "-P", "-m", "hippo_client.local.supervisor", str(place.path)]
    return _attach(place, request, command, tell)


def keep_attached(attachment: Attachment, work: Callable[[Attachment], Result], tell: Tell) -> Result:
    """Do work that needs the home's server, and do it again where the supervisor is killed meanwhile.

    Args:
        attachment: The first attachment; closed where the work ends by an error.
        work: Gets the attachment that holds. What it has done already it finds done when it is called again.
        tell: Hears that there is another supervisor.

    Returns:
        What the work returns.
    """
    while True:
        try:
            return work(attachment)
        except BaseException as error:
            lost = isinstance(error, Unavailable) and attachment.is_lost
            attachment.close()
            if not lost:
                raise
        tell("the local supervisor was killed; another one takes over")
        attachment = attachment.again(tell)


def shut_down(home: Home | Path | str | None = None, tell: Tell | None = None) -> bool:
    """End the home's supervisor, whoever is attached: the worker saves and drains, then the server stops.

    Returns:
        False: none ran.
    """
    place = home if isinstance(home, Home) else Home.at(home)
    connection = _Connection.to(place)
    if connection is None:
        return False
    try:
        connection.send(Request(verb=Verb.DOWN))
        while (answer := connection.receive()) is not None:
            if answer.state is State.DRAINING and tell is not None:
                tell(answer.message)
    finally:
        connection.close()
    return True


def running_server(home: Home) -> ServerAddress | None:
    """The home's server, if one answers now, whoever started it."""
    address = home.server_address()
    if address is None:
        return None
    host, _, port = address.grpc.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0):
            return address
    except OSError:
        return None


def is_supervised(home: Home) -> bool:
    """Whether the home has a supervisor now."""
    connection = _Connection.to(home)
    if connection is None:
        return False
    connection.close()
    return True


class _Connection:
    """A client's end of the supervisor's socket."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._received = b""
        self.at_end = False  #: nothing more will come

    @classmethod
    def to(cls, home: Home) -> _Connection | None:
        """A connection to the home's supervisor, or None where none listens."""
        from hippo_client.local import record

        written = record.read(home)
        if written is None:
            return None
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            end.connect(str(written.socket))
        except OSError as error:
            end.close()
            if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
                return None
            raise
        return cls(end)

    def send(self, request: Request) -> None:
        """Send a request; a supervisor that has just gone is found out by ``receive``."""
        try:
            self._socket.sendall(encode(request))
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> Answer | None:
        """Wait for the next answer; None at the end."""
        while b"\n" not in self._received:
            try:
                piece = self._socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                self.at_end = True
                return None
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        return decode_answer(line)

    def waiting(self) -> list[Answer]:
        """The answers that have come already."""
        answers = []
        while b"\n" in self._received or self._has_more():
            answer = self.receive()
            if answer is None:
                break
            answers.append(answer)
        return answers

    def _has_more(self) -> bool:
        return not self.at_end and bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        """Close it, which is how one detaches."""
        self._socket.close()

    def __del__(self) -> None:
        # A client in a notebook is dropped, not closed; that detaches as well, and is no fault to warn of.
        self._socket.close()


def _attach(home: Home, request: Request, command: Sequence[str], tell: Tell | None) -> Attachment:
    for _ in range(ATTEMPTS):
        connection = _connect(home, command)
        try:
            connection.send(request)
            ready = _until_ready(connection, tell)
            if ready is not None:
                return Attachment(home, command, connection, ready)
        except BaseException:
            connection.close()
            raise
        connection.close()  # it was on its way out, or was killed; the home is free now
    raise _no_supervisor(home)


def _require_local_programs(worker: bool) -> None:
    if os.name != "posix":
        raise Unavailable(
            "Local servers run on Linux and macOS only.", "Name a server with HIPPO_SERVER and HIPPO_TOKEN."
        )
    needed = {"sqlalchemy": "server", **({"torch": "worker"} if worker else {})}
    for module, extra in needed.items():
        if importlib.util.find_spec(module) is None:
            raise Unavailable(
                f"The {extra} is not installed on this machine ({module} is missing).",
                "pip install 'hippo-hpo[all]', or name a server with HIPPO_SERVER and HIPPO_TOKEN.",
            )


def _connect(home: Home, command: Sequence[str]) -> _Connection:
    """Connect to the home's supervisor, and start one as often as none is there and none is on its way."""
    from hippo_client.local.supervisor_exit import EXIT_FOREIGN_SERVER, EXIT_LOCKED

    launched: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + CONNECT_SECONDS
    while (connection := _Connection.to(home)) is None:
        if launched is None:
            launched = _launch(home, command)
        code = launched.poll()
        if code == EXIT_FOREIGN_SERVER:
            raise _foreign_server(home)
        if code not in (None, 0, EXIT_LOCKED):
            raise _no_supervisor(home)
        if code is not None:
            launched = None  # another one holds the home: it will listen soon, or is ending
        if time.monotonic() > deadline:
            raise _no_supervisor(home)
        time.sleep(_POLL_SECONDS if launched is not None else 10 * _POLL_SECONDS)
    return connection


def _launch(home: Home, command: Sequence[str]) -> subprocess.Popen[bytes]:
    with (home.logs / "supervisor.log").open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    # It outlives this process, or leaves an exit code, which is collected whenever that comes.
    threading.Thread(target=process.wait, name="hippo-supervisor", daemon=True).start()
    return process


def _until_ready(connection: _Connection, tell: Tell | None) -> Answer | None:
    """Wait until the server is ready; None: the supervisor has ended instead."""
    while (answer := connection.receive()) is not None:
        if answer.state is State.READY:
            return answer
        if answer.state is State.FAILED:
            raise Unavailable(answer.message, answer.hint)
        if answer.state is State.DRAINING and tell is not None:
            tell("an earlier run is still saving; waiting for it")
        elif answer.state in (State.STARTING, State.NOTICE) and tell is not None:
            tell(answer.message)
    return None


def _foreign_server(home: Home) -> Conflict:
    address = home.server_address()
    where = f" at {address.grpc} (process {address.pid})" if address else ""
    return Conflict(
        f"A server that was started by hand runs on the home {home.path}{where}.",
        "Submit to it with HIPPO_SERVER and HIPPO_TOKEN_FILE set, or stop it.",
    )


def _no_supervisor(home: Home) -> Unavailable:
    from hippo_client.local.processes import log_tail

    log = home.logs / "supervisor.log"
    return Unavailable(f"The local supervisor cannot start. Its log, {log}, ends with:\n{log_tail(log)}")
