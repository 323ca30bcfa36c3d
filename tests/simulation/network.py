"""gRPC between simulated processes: calls and streams that are late, lost, done twice or cut, in virtual time.

The client's side is ``AsyncConnection`` itself, with its deadlines, retries and routes; only channels are replaced.
Messages are serialised on their way. The server's side calls the servicers as the gate does.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc

from hippo_core.errors import HippoError
from hippo_server.auth.roles import Role
from hippo_server.auth.tokens import Identity
from hippo_server.rpc import gate
from hippo_wire.aio_connection import AsyncConnection, Routed
from hippo_wire.errors import from_rpc_error, to_wire
from hippo_wire.retries import leave
from hippo_wire.route import Route
from hippo_wire.v1.study_pb2_grpc import StudyServiceStub
from hippo_wire.v1.worker_pb2_grpc import WorkerServiceStub
from tests.simulation.virtual_time import CURRENT, Process, VirtualLoop

KEEPALIVE_SECONDS = 20.0
END = object()


@dataclass(slots=True)
class Weather:
    """How the network is. Chances are of each message.

    Attributes:
        slowest: A message takes up to so long, seconds.
        loses: A call, or its reply, comes to nothing.
        repeats: A call is carried out twice.
    """

    slowest: float = 0.01
    loses: float = 0.0
    repeats: float = 0.0


@dataclass(eq=False)
class Listener:
    """A server that takes calls.

    Attributes:
        process: Whose.
        address: Where it listens.
        admit: Raises where no call is taken.
        handlers: By method.
        streams: Those that are open.
    """

    process: Process
    address: str
    admit: Callable[[], None]
    handlers: dict[str, Callable[..., Any]]
    streams: list[Stream] = field(default_factory=list)


def failed(code: grpc.StatusCode, details: str, metadata: tuple[tuple[str, bytes], ...] = ()) -> Exception:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), details)


class Network:
    """What carries messages.

    Args:
        loop: In whose time.
        chance: Decides what is lost and late.
    """

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self.loop = loop
        self.chance = chance
        self.weather = Weather()
        self.listeners: list[Listener] = []
        self.streams: list[Stream] = []
        self.cut_until: dict[str, float] = {}  #: by the name of a worker or client
        self.echoes_until = 0.0  #: what earlier leaders said last comes after what a later one says
        self._words: dict[str, dict[int, Any]] = {}  #: by worker and term, what it was told last
        self.delivered: Callable[[str, Any], None] = lambda *_: None  #: told what reaches workers
        self._nowhere = contextvars.Context()

    def later(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Something happens in the network, whatever becomes of the processes."""
        self.loop.call_later(delay, callback, *args, context=self._nowhere)

    def listener(self, address: str) -> Listener | None:
        """The server that takes calls at an address."""
        found = next((each for each in self.listeners if each.address == address), None)
        return None if found is None or found.process.suspended_at is not None else found

    def earlier_words(self, peer: str, message: Any) -> Any:
        """What a leader before this message's said to a worker last, once; None where nothing of that is left."""
        known = self._words.setdefault(peer, {})
        known[message.term] = message
        terms = [term for term in known if term < message.term]
        return known.pop(max(terms)) if terms and self.loop.now < self.echoes_until else None

    def latency(self, peer: str) -> float:
        """How long a message takes; one to or from a peer that is cut off waits until it is not."""
        waits = max(0.0, self.cut_until.get(peer, 0.0) - self.loop.now)
        return waits + self.chance.uniform(0.0005, self.weather.slowest)

    def happens(self, chance: float) -> bool:
        return chance > 0.0 and self.chance.random() < chance

    def listen(self, listener: Listener) -> None:
        """Takes calls from now on, until its process ends."""
        self.listeners.append(listener)
        listener.process.at_end.append(lambda: self.leave(listener))

    def leave(self, listener: Listener) -> None:
        """Takes no more calls; its streams end."""
        if listener in self.listeners:
            self.listeners.remove(listener)
        for stream in list(listener.streams):
            stream.break_off()

    def lose(self, process: Process) -> None:
        """A machine is gone from the network: what is on its way to it never arrives."""
        for stream in [each for each in self.streams if each.listener and each.listener.process is process]:
            stream.lose_listener()

    async def call(
        self,
        address: str,
        peer: str,
        identity: Identity,
        method: str,
        request: Any,
        timeout: float,  # noqa: ASYNC109
    ) -> Any:
        """One call, as a stub makes it."""
        loop = self.loop
        reply: asyncio.Future[Any] = loop.create_future()
        tasks: list[asyncio.Task[None]] = []
        listener = self.listener(address)

        def resolve(value: Any, error: Exception | None) -> None:
            if not reply.done():
                if error is None:
                    reply.set_result(value)
                else:
                    reply.set_exception(error)

        def refuse() -> None:
            resolve(None, failed(grpc.StatusCode.UNAVAILABLE, "connection refused"))

        def arrive() -> None:
            assert listener is not None
            if listener not in self.listeners:
                refuse()
                return
            listener.process.at_end.append(lambda: self.later(0.01, refuse))
            carried = type(request).FromString(request.SerializeToString())
            context = contextvars.Context()
            context.run(CURRENT.set, listener.process)
            answering = self._answer(listener, identity, method, carried, answer)
            tasks.append(context.run(partial(loop.create_task, answering, context=context)))

        def answer(value: Any, error: Exception | None) -> None:
            if self.happens(self.weather.loses):
                self.later(self.chance.uniform(0.01, 2.0), refuse)
            else:
                self.later(self.latency(peer), resolve, value, error)

        if listener is None:
            self.later(0.01, refuse)
        elif self.happens(self.weather.loses):
            self.later(self.chance.uniform(0.01, 2.0), refuse)
        else:
            for _ in range(2 if self.happens(self.weather.repeats) else 1):
                self.later(self.latency(peer), arrive)
        try:
            return await asyncio.wait_for(reply, timeout)
        except TimeoutError:
            for task in tasks:  # the server sees the deadline as well
                self.later(self.latency(peer), task.cancel)
            raise failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None

    async def _answer(
        self,
        listener: Listener,
        identity: Identity,
        method: str,
        request: Any,
        tell: Callable[[Any, Exception | None], None],
    ) -> None:
        gate._caller.set(identity)
        try:
            listener.admit()
            response = await listener.handlers[method](request, None)
        except asyncio.CancelledError:
            return
        except HippoError as error:
            tell(None, wire_error(error))
        except Exception as error:  # noqa: BLE001 - a defect, which the simulation reports
            self.loop.errors.append(f"{method} failed: {error!r}")
            tell(None, failed(grpc.StatusCode.UNKNOWN, "the server failed"))
        else:
            tell(type(response).FromString(response.SerializeToString()), None)


def wire_error(error: HippoError) -> Exception:
    wire = to_wire(error)
    return failed(wire.code, wire.details, wire.metadata)


class Pipe:
    """Messages in one direction, in order.

    Args:
        network: Carries them.
        peer: The client's or worker's name.
    """

    def __init__(self, network: Network, peer: str) -> None:
        self._network = network
        self._peer = peer
        self._arrives = 0.0
        self._waiting: deque[Any] = deque()
        self._awake: asyncio.Future[None] | None = None
        self.error: Exception | None = None
        self.broken = False

    def send(self, message: Any) -> None:
        network = self._network
        self._arrives = max(self._arrives, network.loop.now + network.latency(self._peer))
        network.later(self._arrives - network.loop.now, self._arrive, message)

    def _arrive(self, message: Any) -> None:
        if not self.broken:
            self._waiting.append(message)
            self._wake()

    def break_off(self, error: Exception) -> None:
        """What has not arrived never will; the reader is told why."""
        self.broken = True
        self.error = error
        self._waiting.append(END)
        self._wake()

    def _wake(self) -> None:
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)

    async def receive(self) -> AsyncIterator[Any]:
        while True:
            while not self._waiting:
                self._awake = self._network.loop.create_future()
                await self._awake
            message = self._waiting.popleft()
            if message is END:
                if self.error is not None:
                    raise self.error
                return
            yield message


class Stream:
    """One stream in both directions, as the client's stub gives it.

    Args:
        network: Carries it.
        address: Where to.
        peer: The worker's name.
        identity: Who it is.
        method: What is called.
        requests: What is sent.
    """

    def __init__(
        self,
        network: Network,
        address: str,
        peer: str,
        identity: Identity,
        method: str,
        requests: AsyncIterator[Any],
    ) -> None:
        self.peer = peer
        self._network = network
        self._up, self._down = Pipe(network, peer), Pipe(network, peer)
        self._answering: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self.listener = network.listener(address)
        self._process = CURRENT.get()
        self._process.at_end.append(self._client_is_gone)
        if self.listener is None:
            self._fail(grpc.StatusCode.UNAVAILABLE, "connection refused")
            return
        network.streams.append(self)
        self.listener.streams.append(self)
        self._sending = network.loop.create_task(self._send(requests))
        context = contextvars.Context()
        context.run(CURRENT.set, self.listener.process)
        answering = self._answer(self.listener, identity, method)
        self._answering = context.run(partial(network.loop.create_task, answering, context=context))

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._received()

    async def _received(self) -> AsyncIterator[Any]:
        async for message in self._down.receive():
            self._network.delivered(self.peer, message)
            yield message
            earlier = self._network.earlier_words(self.peer, message)
            if earlier is not None:
                yield earlier

    async def _send(self, requests: AsyncIterator[Any]) -> None:
        try:
            async for request in requests:
                self._up.send(type(request).FromString(request.SerializeToString()))
            self._up.send(END)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._network.loop.errors.append(f"the generator of requests failed: {error!r}")
            raise

    async def _answer(self, listener: Listener, identity: Identity, method: str) -> None:
        gate._caller.set(identity)
        responses = listener.handlers[method](self._up.receive(), None)
        try:
            listener.admit()
            async for response in responses:
                self._down.send(type(response).FromString(response.SerializeToString()))
            self._down.send(END)
        except asyncio.CancelledError:
            return
        except HippoError as error:
            self._end(wire_error(error))
        except grpc.RpcError:
            return  # the worker is gone
        except Exception as error:  # noqa: BLE001 - a defect, which the simulation reports
            self._network.loop.errors.append(f"{method} failed: {error!r}")
            self._end(failed(grpc.StatusCode.UNKNOWN, "the server failed"))
        finally:
            await responses.aclose()
            self._forget()

    def _end(self, error: Exception) -> None:
        self._network.later(self._network.latency(self.peer), self._down.break_off, error)

    def _fail(self, code: grpc.StatusCode, details: str) -> None:
        self._network.later(0.01, self._down.break_off, failed(code, details))

    def break_off(self) -> None:
        """The connection breaks: each side learns of it in its own time, the server perhaps much later."""
        self._forget()
        network = self._network
        error = failed(grpc.StatusCode.UNAVAILABLE, "connection reset")
        network.later(network.latency(self.peer), self._down.break_off, error)
        self._down.broken = True
        self._leave(network.chance.choice([0.01, 0.3, 3.0]))

    def lose_listener(self) -> None:
        """The server's machine is gone: the client learns of it in its own time."""
        self._up.broken = True
        if self._answering is not None:
            self._answering.cancel()
        error = failed(grpc.StatusCode.UNAVAILABLE, "keepalive timed out")
        self._network.later(self._network.chance.choice([0.5, 3.0, 6.0]), self._down.break_off, error)
        self._forget()

    def cancel(self) -> None:
        """The client wants no more of it."""
        self._down.broken = True
        if self._sending is not None:
            self._sending.cancel()
        self._leave(self._network.latency(self.peer))

    def _client_is_gone(self) -> None:
        self._leave(self._network.chance.choice([0.01, 0.01, KEEPALIVE_SECONDS]))

    def _leave(self, delay: float) -> None:
        """The server's side ends; what has arrived there before may still be taken."""
        if self._answering is not None:
            self._network.later(delay, self._answering.cancel)
        self._forget()

    def _forget(self) -> None:
        if self in self._network.streams:
            self._network.streams.remove(self)
        if self.listener is not None and self in self.listener.streams:
            self.listener.streams.remove(self)


class Channel:
    """A channel to one address, as stubs are made on it.

    Args:
        network: Carries what is called.
        address: Where to.
        peer: The name of who calls.
        identity: Who that is.
    """

    def __init__(self, network: Network, address: str, peer: str, identity: Identity) -> None:
        self._network = network
        self._address = address
        self._peer = peer
        self._identity = identity

    def unary_unary(self, path: str, *_: Any, **__: Any) -> Callable[..., Any]:
        async def call(request: Any, timeout: float, metadata: Any) -> Any:  # noqa: ASYNC109
            method = path.rpartition("/")[2]
            return await self._network.call(
                self._address, self._peer, self._identity, method, request, timeout
            )

        return call

    def stream_stream(self, path: str, *_: Any, **__: Any) -> Callable[..., Any]:
        method = path.rpartition("/")[2]
        return lambda requests, metadata: Stream(
            self._network, self._address, self._peer, self._identity, method, requests
        )

    unary_stream = stream_unary = unary_unary

    async def close(self) -> None:
        pass


class SimulatedConnection(AsyncConnection):
    """The production connection on channels of the simulated network.

    Args:
        network: The network.
        peer: The name of who calls.
        role: What they are.
        servers: Addresses, with commas between.
    """

    def __init__(self, network: Network, peer: str, role: Role, servers: str) -> None:
        identity = Identity(user=peer, role=role, project="default", secret_hash=peer)
        self.metadata = ()
        self._trust = None
        open_channel: Callable[[str], Any] = partial(Channel, network, peer=peer, identity=identity)
        self._route = Route(servers, False, open_channel)
        routed: Any = Routed(self._route)
        self.studies = StudyServiceStub(routed)
        self.workers = WorkerServiceStub(routed)

    async def _explained(self, address: str, error: grpc.RpcError) -> HippoError:
        leave(self._route, address, error)
        return from_rpc_error(error, address)
