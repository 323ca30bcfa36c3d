"""Telling streams that something changed, without telling what: they look for themselves (level-triggered)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Changes:
    """Wakes whoever listens. To be used in one event loop."""

    def __init__(self) -> None:
        self._listening: dict[str, dict[int, asyncio.Event]] = {}
        self._last = 0

    @contextmanager
    def listen(self, subject: str = "") -> Iterator[asyncio.Event]:
        """An event that is set at each change, and that the listener clears before it looks.

        Args:
            subject: What it is about: changes of others alone do not matter.
        """
        self._last += 1
        number, event = self._last, asyncio.Event()
        self._listening.setdefault(subject, {})[number] = event
        try:
            yield event
        finally:
            of_subject = self._listening[subject]
            del of_subject[number]
            if not of_subject:
                del self._listening[subject]

    def notify(self) -> None:
        """Something changed, for all."""
        for listening in self._listening.values():
            for event in listening.values():
                event.set()

    def notify_of(self, subjects: Iterable[str]) -> None:
        """Something changed about some subjects."""
        for subject in subjects:
            for event in self._listening.get(subject, {}).values():
                event.set()
