"""Virtual time: an event loop whose clock jumps to whatever comes next, and the processes that live in it.

Everything runs in one operating system process. Which *simulated* process a piece of code belongs to is a context
variable, which tasks, timers and threads inherit: so a process can be frozen (nothing of it runs until it wakes, while
its clock goes on) or killed (nothing of it ever runs again, not even a ``finally``).

Blocking code runs in real threads of which exactly one is awake at any moment, handed on like a baton: a thread that
sleeps, or waits on a condition, gives the baton back to the loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from hippo_core.errors import HippoError


class Gone(BaseException):
    """Thrown into what is left of processes when the simulation is over."""


class Process:
    """A simulated process.

    Args:
        name: For people.
        skew: What its wall clock shows beyond the true time, seconds.
        clock: What its monotonic clock shows beyond the virtual time, seconds.
    """

    def __init__(self, name: str, skew: float = 0.0, clock: float = 0.0) -> None:
        self.name = name
        self.skew = skew
        self.clock = clock
        self.alive = True
        self.frozen_until = 0.0
        self.suspended_at: float | None = None  #: since when its clock and its timers stand still as well
        self.held: list[Any] = []
        self.dies_after: int | None = None  #: so many operations on files from now
        self.at_end: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return self.name


OUTSIDE = Process("outside")
CURRENT: contextvars.ContextVar[Process] = contextvars.ContextVar("process", default=OUTSIDE)


class Stall(Exception):
    """Nothing is left to happen, or too much happens."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """An event loop in virtual time.

    Attributes:
        now: Virtual seconds.
        errors: What went wrong where nobody listens.
        turns: How much has happened.
        over: Whether all is thrown away.
        delay: How long blocking code waits for its thread, seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.errors: list[str] = []
        self.turns = 0
        self._ready: deque[Any] = deque()  # handles, of which their context and their time are asyncio's own
        self._timers: list[tuple[float, int, Any]] = []
        self._sequence = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._threads: list[BlockingThread] = []
        self._idle: list[BlockingThread] = []
        self._queues: dict[ThreadPoolExecutor, deque[Callable[[], None]]] = {}
        self.over = False
        self.delay: Callable[[], float] = lambda: 0.0

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._sequence += 1
        heapq.heappush(self._timers, (when, self._sequence, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > 2000:
            self.look_at_tasks()
        return task

    def look_at_tasks(self) -> None:
        """Takes up what tasks failed with: as nobody may wait for one that fails, all but Hippo's own is an error."""
        done = [each for each in self._tasks if each.done()]
        self._tasks = [each for each in self._tasks if not each.done()]
        for task in done:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, HippoError | Gone):
                self.errors.append(f"{task.get_coro()} failed: {error!r}")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.over or isinstance(error, Gone) or "never retrieved" in context["message"]:
            return
        self.errors.append(f"{context['message']}: {error!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def run_in_executor(  # type: ignore[override]
        self, executor: ThreadPoolExecutor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Runs blocking code; that of one executor with one thread in its order."""
        future = self.create_future()
        context = contextvars.copy_context()

        def run() -> None:
            try:
                value = func(*args)
            except Gone:
                raise
            except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
                self.call_soon(_settle, future, None, error)
            else:
                self.call_soon(_settle, future, value, None)
            if executor is not None:
                waiting = self._queues[executor]
                waiting.popleft()
                if waiting:
                    self.call_soon(waiting[0])

        def begin() -> None:
            self.start_thread(run, context)

        if executor is None:
            self.call_later(self.delay(), begin)
        else:
            waiting = self._queues.setdefault(executor, deque())
            waiting.append(begin)
            if len(waiting) == 1:
                self.call_soon(begin)
        return future

    # Threads.

    def start_thread(self, function: Callable[[], None], context: contextvars.Context) -> None:
        """Runs a function that may block, up to where it first does."""
        if self._idle:
            thread = self._idle.pop()
        else:
            thread = BlockingThread(self)
            self._threads.append(thread)
        thread.begin(function, context)

    def rest(self, thread: BlockingThread) -> None:
        """The thread has done what it was given."""
        self._idle.append(thread)

    # Running.

    def run_until(self, end: float, done: Callable[[], bool], most_turns: int) -> None:
        """Lets things happen until it is late, or done.

        Raises:
            Stall: More happens than can: something goes in circles.
        """
        asyncio._set_running_loop(self)
        ready, timers = self._ready, self._timers
        try:
            while not done():
                if not ready:
                    if not timers or timers[0][0] > end:
                        self.now = max(self.now, end)
                        return
                    # A timer fires a little late, as they do: who computes what is left by another clock gets on.
                    self.now = max(self.now, timers[0][0]) + 1e-6
                    while timers and timers[0][0] <= self.now:
                        handle = heapq.heappop(timers)[2]
                        if not handle._cancelled:
                            ready.append(handle)
                    continue
                self.turns += 1
                if self.turns > most_turns:
                    raise Stall(f"at {self.now:.3f} s more than {most_turns} things have happened")
                handle = ready.popleft()
                if handle._cancelled:
                    continue
                process = handle._context.get(CURRENT, OUTSIDE)
                if not process.alive:
                    continue
                if process.frozen_until > self.now:
                    process.held.append(handle)
                    continue
                handle._run()
        finally:
            asyncio._set_running_loop(None)

    def freeze(self, process: Process, seconds: float) -> None:
        """Stops a process for a while."""
        process.frozen_until = self.now + seconds
        # What became ready meanwhile goes on in its order, as if it had become ready then.
        self.call_later(seconds, self._thaw, process, context=contextvars.Context())

    def suspend(self, process: Process, seconds: float) -> None:
        """Stops a process with its whole machine, as a virtual one is: its monotonic clock does not go on either."""
        if process.suspended_at is None:
            process.suspended_at = self.now
        self.freeze(process, seconds)

    def _thaw(self, process: Process) -> None:
        if process.frozen_until <= self.now:
            held, process.held = process.held, []
            if process.suspended_at is not None:
                held = self._wake_late(process, held, self.now - process.suspended_at)
                process.suspended_at = None
            self._ready.extendleft(reversed(held))

    def _wake_late(self, process: Process, held: list[Any], slept: float) -> list[Any]:
        """Sets a process's clock and timers back by the time that it knows nothing of; gives what is due."""
        process.clock -= slept
        mine = [
            handle
            for _, _, handle in self._timers
            if handle._context.get(CURRENT, OUTSIDE) is process and not handle._cancelled
        ]
        kept = [entry for entry in self._timers if entry[2]._context.get(CURRENT, OUTSIDE) is not process]
        mine += [handle for handle in held if isinstance(handle, asyncio.TimerHandle)]
        for handle in sorted(mine, key=lambda handle: handle._when):
            self._sequence += 1
            handle._when += slept
            kept.append((handle._when, self._sequence, handle))
        heapq.heapify(kept)
        self._timers[:] = kept  # in place: the loop that runs holds on to it
        return [handle for handle in held if not isinstance(handle, asyncio.TimerHandle)]

    def kill(self, process: Process) -> None:
        """Ends a process as SIGKILL does."""
        if process.alive:
            process.alive = False
            process.held.clear()
            for callback in process.at_end:
                callback()

    def close(self) -> None:
        """Throws away what is left."""
        self.over = True
        self._ready.clear()
        self._timers.clear()
        for thread in self._threads:
            thread.end()
        asyncio._set_running_loop(self)  # what coroutines do at their end would else make a loop of its own
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                try:
                    task.get_coro().close()
                except (RuntimeError, ValueError):
                    continue
        asyncio._set_running_loop(None)
        self._tasks.clear()


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)


class BlockingThread:
    """A thread that runs only while it holds the baton.

    Args:
        loop: Has the baton otherwise.
    """

    _here = threading.local()

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._go = threading.Lock()
        self._back = threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._work: tuple[Callable[[], None], contextvars.Context] | None = None
        self._over = False
        self._context = contextvars.Context()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def begin(self, function: Callable[[], None], context: contextvars.Context) -> None:
        """Gives it something to do, and the baton."""
        self._context = context.copy()
        self._work = (function, context.copy())  # the loop may be in the one that was given
        self._hand_over()

    def resume(self) -> None:
        """Lets it go on from where it blocked."""
        self._hand_over()

    def resume_soon(self, delay: float = 0.0) -> None:
        """Lets it go on in so many virtual seconds, unless its process is no more."""
        if delay:
            self._loop.call_later(delay, self.resume, context=self._context)
        else:
            self._loop.call_soon(self.resume, context=self._context)

    def block(self) -> None:
        """Gives the baton back until ``resume``; called in the thread."""
        if self._over:
            raise Gone
        self._back.release()
        self._go.acquire()
        if self._over:
            raise Gone

    def end(self) -> None:
        """Ends it, from wherever it is."""
        self._over = True
        self._go.release()
        self._thread.join(10.0)

    @classmethod
    def current(cls) -> BlockingThread | None:
        """The thread that runs this; None: it is the loop."""
        return getattr(cls._here, "thread", None)

    def _hand_over(self) -> None:
        self._go.release()
        self._back.acquire()

    def _serve(self) -> None:
        self._here.thread = self
        while True:
            self._go.acquire()
            if self._over:
                return
            assert self._work is not None
            function, context = self._work
            try:
                context.run(function)
            except Gone:
                return
            except BaseException as error:  # noqa: BLE001 - there is nobody else to tell
                self._loop.errors.append(f"a thread failed: {error!r}")
            if self._over:  # what it did took Gone for an error of its own
                return  # type: ignore[unreachable]  # end() is called in another thread
            self._loop.rest(self)
            self._back.release()


class VirtualClock:
    """Stands in for the module ``time`` in the code of a process.

    Args:
        loop: Whose time it is.
        began: What wall clocks without skew show at virtual time 0.
    """

    def __init__(self, loop: VirtualLoop, began: float) -> None:
        self._loop = loop
        self._began = began

    def monotonic(self) -> float:
        return self._loop.now + CURRENT.get().clock

    perf_counter = monotonic

    def time(self) -> float:
        return self._began + self._loop.now + CURRENT.get().skew

    def sleep(self, seconds: float) -> None:
        thread = BlockingThread.current()
        assert thread is not None, "the loop does not sleep"
        thread.resume_soon(max(seconds, 1e-6))
        thread.block()


class VirtualThread:
    """Stands in for ``threading.Thread``."""

    def __init__(self, target: Callable[[], None], name: str = "", daemon: bool = False) -> None:
        self._target = target
        self._context = contextvars.copy_context()
        self._done = False
        self._joining: list[BlockingThread] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.call_soon(loop.start_thread, self._run, self._context, context=self._context)

    def join(self) -> None:
        if not self._done:
            thread = BlockingThread.current()
            assert thread is not None
            self._joining.append(thread)
            thread.block()

    def _run(self) -> None:
        self._target()
        self._done = True
        for thread in self._joining:
            thread.resume_soon()


class VirtualLock:
    """Stands in for ``threading.Lock``: who holds the baton holds the lock, and does not block while it does."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class VirtualCondition(VirtualLock):
    """Stands in for ``threading.Condition``."""

    def __init__(self) -> None:
        self._waiting: list[BlockingThread] = []

    def wait(self) -> None:
        thread = BlockingThread.current()
        assert thread is not None
        self._waiting.append(thread)
        thread.block()

    def notify(self) -> None:
        if self._waiting:
            self._waiting.pop(0).resume_soon()


class VirtualThreading:
    """Stands in for the module ``threading`` where a thread of the shell's own works."""

    Lock = VirtualLock
    Thread = VirtualThread
    Condition = VirtualCondition


class VirtualQueue:
    """Stands in for ``queue.SimpleQueue`` with one reader."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._reader: BlockingThread | None = None

    def put(self, item: Any) -> None:
        self._items.append(item)
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.resume_soon()

    def empty(self) -> bool:
        return not self._items

    def get(self) -> Any:
        while not self._items:
            self._reader = BlockingThread.current()
            assert self._reader is not None
            self._reader.block()
        return self._items.popleft()
