"""One blocking call after the other, on a thread that nothing waits for at the end.

A storage may hang for ever, in a call that no signal ends. A pool of threads would fill up with such calls, and the
interpreter would wait for them when the process is to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class LoneThread:
    """Carries out calls in order, on a thread that lives while there are any.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._calls: deque[Callable[[], None]] = deque()
        self._works = False
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

        with self._lock:
            if not self._works:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            self._works = True
            self._calls.append(carry_out)
        self._latest = outcome
        return outcome

    async def close(self, seconds: float) -> None:
        """Waits for the calls that were asked for, but for so long only; one that hangs is left behind."""
        if self._latest is not None and not self._latest.cancelled():
            await asyncio.wait({self._latest}, timeout=seconds)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._calls:
                    self._works = False
                    return
                carry_out = self._calls.popleft()
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
