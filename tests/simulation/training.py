"""Runners in virtual time: production's host, path loop and link round a trainer whose state is a digest.

The state after a step is a digest of the state before it and of the step's values, and a metric is read off the state:
one wrong value, one step left out or done twice, one wrong checkpoint anywhere gives other numbers. What is replaced
is what a process is made of: socket, threads, user code, and the writing of tensors.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
import types
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hippo_storage.files import digest_of
from hippo_storage.manifest import FileEntry
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.order import PathOrder, SetupOrder, StartFrom
from hippo_worker.hosting.saving import Destination
from hippo_worker.runner import main as runner_main
from hippo_worker.runner import messages
from hippo_worker.runner.link import PathLink
from hippo_worker.runner.paths import Paths
from hippo_worker.runner.settings import RunnerSettings
from tests.simulation.virtual_time import CURRENT, Process, VirtualClock, VirtualLoop, VirtualQueue
from tests.unit.engine.cluster import initial, metric, next_state

STATE_FILE = "state.json"
WRITE_SECONDS = 0.02


class Trainer:
    """A trainer whose model is a digest."""

    def __init__(self, clock: VirtualClock, step_seconds: float, seed: int) -> None:
        self.clock = clock
        self.step_seconds = step_seconds
        self.model = initial(seed)
        self.values: Mapping[str, Any] = {}

    def train(self, step: int) -> None:
        self.clock.sleep(self.step_seconds)
        self.model = next_state(self.model, self.values)


class Hosted:
    """What the path loop has of a trainer."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def can_serve(self, values: Mapping[str, Any]) -> bool:
        return True

    def serve(self, values: Mapping[str, Any]) -> None:
        pass

    serve_first = serve

    def apply(self, values: Mapping[str, Any], step: int) -> None:
        self.trainer.values = dict(values)

    apply_changes = apply

    def change(self, values: Mapping[str, Any], names: Sequence[str], step: int) -> None:
        self.apply(values, step)

    @property
    def train(self) -> Callable[[int], None]:
        return self.trainer.train

    def keep_random(self) -> None:
        pass

    restore_random = keep_random

    def evaluate(self) -> dict[str, float]:
        return {"accuracy": metric(self.trainer.model)}

    def state(self) -> str:
        return self.trainer.model

    def load(self, model: str) -> None:
        self.trainer.model = model

    def close(self) -> None:
        pass


class Code:
    """Nothing is imported."""

    def require_accounted(self) -> None:
        pass


class Saver:
    """Writes a state a moment after it was captured, one at a time, as production's writer thread does."""

    lacks_memory = False  # no time passes while states are copied
    write_seconds = 0.0
    held_seconds = 0.0

    def __init__(self, loop: VirtualLoop, clock: VirtualClock, disk_is_full: Callable[[], bool]) -> None:
        self.busy = False
        self._loop = loop
        self._clock = clock
        self._disk_is_full = disk_is_full

    def save(self, make_state: Callable[[], Any], destination: Destination) -> float:
        self.wait()
        self.busy = True
        self._loop.call_later(WRITE_SECONDS, self._write, make_state(), destination)
        return 0.0

    def wait(self) -> None:
        while self.busy:
            self._clock.sleep(WRITE_SECONDS / 2)

    def close(self) -> None:
        self.wait()

    def _write(self, model: str, to: Destination) -> None:
        self.busy = False
        if self._disk_is_full():
            to.link.save_failed(to.node, to.step, "no space left on the worker's disk", full=True)
            return
        to.folder.mkdir(parents=True, exist_ok=True)
        files = write_state(to.folder, model)
        to.link.checkpoint_written(to.node, to.step, to.folder, files, 0.0)


def write_state(folder: Path, model: str) -> dict[str, FileEntry]:
    """Writes a checkpoint's files; gives their digests."""
    path = folder / STATE_FILE
    path.write_text(json.dumps({"model": model}))
    return {STATE_FILE: FileEntry(size_bytes=path.stat().st_size, digest=digest_of(path))}


def read_state(data: bytes) -> str:
    """The model of a checkpoint's file."""
    model: str = json.loads(data)["model"]
    return model


class Host(PathHost):
    """Production's host, without torch, imports and garbage collection."""

    def __init__(self, saver: Saver, clock: VirtualClock, step_seconds: float) -> None:
        super().__init__("cpu", 1)
        self._saver = saver  # type: ignore[assignment]
        self._clock = clock
        self._step_seconds = step_seconds

    def _require_served(self, order: PathOrder | SetupOrder) -> None:
        self._served = (order.program_key, str(order.code))

    def _load(self, order: PathOrder | SetupOrder) -> Code:  # type: ignore[override]
        return Code()

    def _make(self, order: PathOrder | SetupOrder, code: Any) -> Hosted:  # type: ignore[override]
        return Hosted(Trainer(self._clock, self._step_seconds, order.program.seed))

    def _read(self, fence: int, start: StartFrom) -> str:
        assert start.folder is not None
        return read_state((start.folder / STATE_FILE).read_bytes())

    def _drop(self) -> None:
        self._held = self._fresh = None


class Wire:
    """A runner's end of its socket; see ``hippo_worker.runner.link.Wire``."""

    def __init__(self, tell: Callable[[messages.Message], None]) -> None:
        self._tell = tell
        self.orders = VirtualQueue()
        self._paths = Paths()

    def tell(self, message: messages.Message, *, now: bool = False) -> None:
        self._tell(message)

    def flush(self) -> None:
        pass

    def begin(self, fence: int, on_stage: Callable[[int], None]) -> PathLink | None:
        link = PathLink(self, fence, on_stage)  # type: ignore[arg-type]
        return link if self._paths.begin(fence, link) else None

    def close_path(self, fence: int) -> None:
        self._paths.close(fence)

    def take(self, message: messages.Message) -> None:
        match message:
            case messages.Run():
                self._paths.add(message.fence)
                self.orders.put(message)
            case messages.Prepare():
                self.orders.put(message)
            case messages.Quit():
                self.orders.put(None)
            case messages.Offer() | messages.Stop():
                if (answer := self._paths.instruct(message)) is not None:
                    self._tell(answer)
            case _:
                raise AssertionError(f"a daemon does not say {message}")


class Runner:
    """A runner's process, with the interface of ``hippo_worker.slots.process.RunnerProcess``.

    Args:
        loop: In whose time.
        clock: Its clock.
        process: Its process.
        chance: How long its messages take.
        step_seconds: How long a step takes.
        disk_is_full: Whether it can write no state.
    """

    _last_pid = 0

    def __init__(
        self,
        loop: VirtualLoop,
        clock: VirtualClock,
        process: Process,
        chance: random.Random,
        step_seconds: float,
        disk_is_full: Callable[[], bool],
    ) -> None:
        Runner._last_pid += 1
        self.pid = Runner._last_pid
        self.process = process
        self.peak_bytes = 0
        self.out_of_memory = False
        self.ended: asyncio.Future[int] = loop.create_future()
        self._loop = loop
        self._clock = clock
        self._chance = chance
        self._step_seconds = step_seconds
        self._disk_is_full = disk_is_full
        self._said: deque[messages.Message | None] = deque()
        self._awake: asyncio.Future[None] | None = None
        self._arrives = 0.0
        self._nowhere = contextvars.Context()
        self._context = contextvars.Context()
        self._context.run(CURRENT.set, process)
        self._wire = Wire(self._say)
        process.at_end.append(lambda: self._end(-9))
        loop.call_soon(loop.start_thread, self._run, self._context, context=self._context)

    # The runner's side.

    def _run(self) -> None:
        saver = Saver(self._loop, self._clock, self._disk_is_full)
        host = Host(saver, self._clock, self._step_seconds)
        capture: Any = types.SimpleNamespace(
            to_node=lambda *_: None, to_idle=lambda: None, keep_for_next=lambda: None
        )
        self._say(messages.Ready())
        wire: Any = self._wire
        while host.usable and (told := self._wire.orders.get()) is not None:
            runner_main.carry_out(host, wire, capture, told)
        host.close()
        self._end(0)

    def _say(self, message: messages.Message | None) -> None:
        # Frames come in order, whenever the daemon gets round to reading them.
        self._arrives = max(self._arrives, self._loop.now + self._chance.uniform(0.0, 0.05))
        self._loop.call_at(self._arrives, self._hear, message, context=self._nowhere)

    def _hear(self, message: messages.Message | None) -> None:
        self._said.append(message)
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)

    def _end(self, code: int) -> None:
        if not self.ended.done():
            self._say(None)
            self._loop.call_later(0.01, self.has_ended, code, context=self._nowhere)

    def has_ended(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    # The daemon's side.

    async def send(self, *said: messages.Message) -> None:
        for message in said:
            if self.process.alive:
                copy = messages.from_plain(messages.to_plain(message))
                self._loop.call_soon(self._wire.take, copy, context=self._context)

    async def messages(self) -> AsyncIterator[messages.Message]:
        while True:
            while not self._said:
                self._awake = self._loop.create_future()
                await self._awake
            message = self._said.popleft()
            if message is None:
                return
            yield message

    def kill(self) -> None:
        self._loop.kill(self.process)

    def dump(self) -> None:
        pass

    def close(self) -> None:
        pass


class Spawner:
    """Starts runners; see ``hippo_worker.slots.spawner.Spawner``."""

    def __init__(self, start: Callable[[], Runner]) -> None:
        self._start = start

    async def spawn(
        self, settings: RunnerSettings, environment: Mapping[str, str], *, own_interpreter: bool
    ) -> Runner:
        await asyncio.sleep(0.1)
        return self._start()

    def close(self) -> None:
        pass


class Bundles:
    """The trainer needs no code."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def obtain(self, storage: Any, digest: str) -> Path:
        return self._folder
