"""What is looked at now and then leaves room for others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from hippo_core.errors import Unavailable
from hippo_server.metrics import watching


class Pieces:
    """Stages that are looked at in three pieces."""

    engine = None
    looked = 0

    def watch_stages(self, _: object) -> Iterator[None]:
        """One look."""
        for _ in range(3):
            self.looked += 1
            yield


def pauses(monkeypatch: pytest.MonkeyPatch, lead: Any, count: int) -> list[float]:
    """For how long so many pauses are while stages are watched."""
    found: list[float] = []

    async def pause(seconds: float) -> None:
        found.append(seconds)
        if len(found) == count:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", pause)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(watching.watch_stages(lead, cast("Any", lead.metrics)))
    return found


class Lead:
    """A server that leads, or does not."""

    def __init__(self, *, leads: bool) -> None:
        self.metrics = Pieces()
        self._leads = leads

    def __call__(self) -> Pieces:
        if not self._leads:
            raise Unavailable("the server is starting.", "Try again in a moment.")
        return self.metrics


def test_others_have_time_between_two_pieces_of_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that is ready at once would fill the event loop, and keep the writer's thread from running."""
    lead = Lead(leads=True)
    found = pauses(monkeypatch, lead, 5)
    assert found == [*[watching.PIECE_SECONDS] * 3, watching.STAGES_SECONDS, watching.PIECE_SECONDS]
    assert min(found) > 0.0
    assert lead.metrics.looked == 4


def test_a_server_that_does_not_lead_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lead = Lead(leads=False)
    assert pauses(monkeypatch, lead, 2) == [watching.STAGES_SECONDS] * 2
    assert lead.metrics.looked == 0
