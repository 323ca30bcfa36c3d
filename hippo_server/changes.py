"""Telling streams that something changed, without telling what: they look for themselves (level-triggered)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Changes:
    """Wakes whoever listens. To be used in one event loop."""

    def __init__(self) -> None:
        self._listening: dict[int, asyncio.Event] = {}
        self._last = 0

    @contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """An event that is set at each change, and that the listener clears before it looks."""
        self._last += 1
        number, event = self._last, asyncio.Event()
        self._listening[number] = event
        try:
            yield event
        finally:
            del self._listening[number]

    def notify(self) -> None:
        """Something changed."""
        for event in self._listening.values():
            event.set()
