"""One blocking call after the other, on a thread that nothing waits for at the end.

A storage may hang for ever, in a call that no signal ends. A pool of threads would fill up with such calls, and the
interpreter would wait for them when the process is to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class LoneThread:
    """Carries out calls in order, on a thread that begins with the first and waits for the next.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._latest: asyncio.Future[Any] | None = None

    def call(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Calls a function when it is its turn. What is cancelled before that is not called."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def carry_out() -> None:
            if outcome.cancelled():
                return
            try:
                result = function(*arguments)
            except BaseException as error:  # noqa: BLE001 - whoever asked for it gets it
                _tell(loop, outcome, outcome.set_exception, error)
            else:
                _tell(loop, outcome, outcome.set_result, result)

        if self._thread is None:
            self._thread = threading.Thread(
                target=partial(_carry_out_all, self._calls), name=self._name, daemon=True
            )
            self._thread.start()
        self._calls.put(carry_out)
        self._latest = outcome
        return outcome

    async def close(self, seconds: float) -> None:
        """Waits for the calls that were asked for, but for so long only; one that hangs is left behind."""
        if self._latest is not None and not self._latest.cancelled():
            await asyncio.wait({self._latest}, timeout=seconds)
        self.end()

    def end(self) -> None:
        """Lets the thread end once it has carried out what it was asked for; a later call begins another."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread, self._calls = None, SimpleQueue()


def _carry_out_all(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (carry_out := calls.get()) is not None:
        carry_out()


def _tell(
    loop: asyncio.AbstractEventLoop,
    outcome: asyncio.Future[Any],
    setter: Callable[[Any], None],
    value: object,
) -> None:
    def tell() -> None:
        if not outcome.done():
            setter(value)

    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever asked
        loop.call_soon_threadsafe(tell)
