"""What a server knows of its database where that says nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from hippo_server.health import POLL_SECONDS, Health
from hippo_server.metrics import Metrics


async def pauses_until_silent(monkeypatch: pytest.MonkeyPatch, silence_seconds: float) -> list[float]:
    """The pauses until a database that has answered counts as silent; it answers again in the second one."""
    health = Health(silence_seconds, Metrics(CollectorRegistry()))
    found: list[float] = []

    async def pause(seconds: float) -> None:
        found.append(seconds)
        if len(found) == 2:
            health.note_database()
        if health.checks("")["database"] != "ok":
            raise asyncio.CancelledError

    health.note_database()
    monkeypatch.setattr("hippo_server.health.asyncio", SimpleNamespace(sleep=pause))
    with pytest.raises(asyncio.CancelledError):
        await health.notice_silence()
    return found[1:]


@pytest.mark.parametrize("silence_seconds", [0.5, 2.0, 10.0])
async def test_a_silence_is_noticed_when_it_has_lasted(
    monkeypatch: pytest.MonkeyPatch, silence_seconds: float
) -> None:
    """However short it is, a database that answers within it never counts as silent: not even where it answered last
    at the end of a pause."""
    pauses = await pauses_until_silent(monkeypatch, silence_seconds)
    assert max(pauses) <= min(POLL_SECONDS, silence_seconds / 4)
    since_begin, since_end = sum(pauses[:-1]), sum(pauses[1:-1])
    assert silence_seconds <= since_end
    assert since_begin <= silence_seconds + 2 * pauses[0]
