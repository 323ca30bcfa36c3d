"""What tests of slots share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.worker.place import Place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    running = asyncio.create_task(made.slot.run())
    yield made
    made.health.ends.set()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
