"""One look for all who ask, and none right after another."""

from __future__ import annotations

import asyncio

import pytest

from hippo_core.errors import Unavailable
from hippo_server.auth.looking_again import LookingAgain

FOREVER = 3600.0


async def turns() -> None:
    """Lets everything that can go on do so: what waits here waits for the clock, or for the test."""
    for _ in range(20):
        await asyncio.sleep(0)


class Looks:
    """Looks that end when the test says so."""

    def __init__(self, pause_seconds: float) -> None:
        self.begun = 0
        self.ends: list[asyncio.Future[None]] = []
        self.again = LookingAgain(self._look, pause_seconds)

    async def _look(self) -> None:
        self.begun += 1
        self.ends.append(asyncio.get_running_loop().create_future())
        await self.ends[-1]


async def test_who_asks_before_a_look_begins_shares_it() -> None:
    looks = Looks(FOREVER)
    asking = [asyncio.create_task(looks.again.look()) for _ in range(20)]
    await turns()
    assert looks.begun == 1
    assert not any(task.done() for task in asking)
    looks.ends[0].set_result(None)
    await asyncio.gather(*asking)
    assert looks.begun == 1


async def test_who_asks_during_a_look_waits_for_the_next_one() -> None:
    """What the one under way does not see may be what the asker is about."""
    looks = Looks(0.0)
    first = asyncio.create_task(looks.again.look())
    await turns()
    second = asyncio.create_task(looks.again.look())
    await turns()
    assert looks.begun == 1  # one at a time
    looks.ends[0].set_result(None)
    await first
    await turns()
    assert (looks.begun, second.done()) == (2, False)
    looks.ends[1].set_result(None)
    await second


async def test_a_look_waits_for_the_pause_after_the_last_one() -> None:
    looks = Looks(FOREVER)
    first = asyncio.create_task(looks.again.look())
    await turns()
    looks.ends[0].set_result(None)
    await first
    second = asyncio.create_task(looks.again.look())
    await turns()
    assert (looks.begun, second.done()) == (1, False)
    second.cancel()


async def test_a_look_that_fails_says_so_to_who_waits_for_it_alone() -> None:
    looks = Looks(0.0)
    asking = [asyncio.create_task(looks.again.look()) for _ in range(2)]
    await turns()
    looks.ends[0].set_exception(Unavailable("the database is away.", "Wait."))
    for task in asking:
        with pytest.raises(Unavailable):
            await task
    later = asyncio.create_task(looks.again.look())
    await turns()
    looks.ends[1].set_result(None)
    await later


async def test_who_leaves_takes_the_look_from_nobody() -> None:
    looks = Looks(FOREVER)
    leaves, stays = (asyncio.create_task(looks.again.look()) for _ in range(2))
    await turns()
    leaves.cancel()
    await turns()
    looks.ends[0].set_result(None)
    await stays
