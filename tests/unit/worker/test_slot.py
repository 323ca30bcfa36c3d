"""What becomes of the leases of a slot when its runner dies, when they are stopped, and between their ends."""

from __future__ import annotations

import asyncio

import pytest

from hippo_core.engine.commands import AnsweredReport, FailedReport, ReleasedReport, TrainedReport
from hippo_core.engine.states import FailureClass
from hippo_worker.runner import messages
from hippo_worker.slots import conversation
from hippo_worker.slots.slot import STILLBORN
from tests.unit.worker.orders import said
from tests.unit.worker.place import Place
from tests.waiting import until_in_loop


async def test_runners_that_die_before_they_begin_are_counted_not_their_leases(place: Place) -> None:
    """
    1. a runner is told three leases, and dies before it has begun one; so does the next one, and the one after that
    2. only then the first lease fails; the others are told to one more runner, and are trained
    """
    place.health.ends.set()
    first, second, third = place.grant(7, 8, 9)
    for _ in range(STILLBORN):
        runner = place.spawner.give()
        await runner.hear_runs(7, 8, 9)
        assert [said(lease) for lease in (first, second, third)] == [[], [], []]
        runner.die()
    runner = place.spawner.give()
    await runner.hear_runs(8, 9)
    await until_in_loop(lambda: first.ending is not None, "the first lease has failed")
    assert isinstance(first.ending, FailedReport)
    assert first.ending.failure is FailureClass.INFRASTRUCTURE
    assert first.ending.message.startswith("Runners die before they begin.")
    for lease in (second, third):
        await runner.say(messages.Begun(fence=lease.fence), messages.Trained(fence=lease.fence, holds=None))
    await until_in_loop(lambda: third.ending is not None, "the others are trained")
    assert second.ending == third.ending == TrainedReport()


async def test_what_is_offered_after_a_path_and_before_its_end_is_said_is_not_promised(place: Place) -> None:
    """
    1. a path fails while a save is being written; nothing of its end is said before that is known
    2. a later state of the path is offered: there will be none, and that is said with the end
    """
    place.health.ends.set()
    runner = place.spawner.give()
    (lease,) = place.grant(7)
    await runner.hear_runs(7)
    failed = messages.Failed(fence=7, failure="user", message="m", traceback="", node=1, step=2)
    await runner.say(messages.Begun(fence=7), failed)
    await until_in_loop(lambda: 7 not in place.logs.watched, "the path has ended")
    await place.slot.offer(lease, (2, 4))
    assert said(lease) == []
    await runner.say(messages.Settled(fence=7))
    await until_in_loop(lambda: lease.ending is not None, "its end is said")
    assert said(lease) == [AnsweredReport(node=2, step=4, will=False), lease.ending]


async def test_the_logs_of_a_lease_that_is_stopped_while_it_waits_for_another_runner_are_finished(
    place: Place,
) -> None:
    runner = place.spawner.give()
    _, lease = place.grant(7, 8)
    await runner.hear_runs(7, 8)
    runner.die()
    await until_in_loop(lambda: place.spawner.asked == 2, "another runner is to come")
    assert place.logs.watched == {7, 8}
    await place.slot.stop(lease, save=False, reason="enough")
    assert lease.ending == ReleasedReport(reason="enough")
    assert place.logs.watched == {7}


async def test_a_runner_that_stays_keeps_its_code(place: Place) -> None:
    """
    1. a path trains; a lease of another program waits for its end, and is stopped
    2. the next lease is of the first program again: its code is not fetched again
    """
    runner = place.spawner.give()
    place.grant(7)
    await runner.hear_runs(7)
    (other,) = place.grant(8, bundle="other")
    await until_in_loop(lambda: place.bundles.asked == ["b", "other"], "the other lease is prepared")
    await place.slot.stop(other, save=False, reason="enough")
    place.grant(9)
    await runner.hear_runs(9)
    assert other.ending == ReleasedReport(reason="enough")
    assert place.bundles.asked == ["b", "other"]


async def test_a_device_is_not_checked_twice_at_a_time(place: Place) -> None:
    """
    1. an idle slot checks its device; a path that it is granted meanwhile fails
    2. the check that is due for that waits for the first one's end
    """
    watching = asyncio.create_task(place.slot.watch_health(3600.0))
    await until_in_loop(lambda: place.health.asked == 1, "the idle slot checks")
    runner = place.spawner.give()
    (lease,) = place.grant(7)
    await runner.hear_runs(7)
    failed = messages.Failed(fence=7, failure="user", message="m", traceback="", node=1, step=2)
    await runner.say(messages.Begun(fence=7), failed, messages.Settled(fence=7))
    await until_in_loop(lambda: lease.settled, "the path has ended")
    place.health.ends.set()
    await until_in_loop(lambda: lease.ending is not None, "its end is said")
    watching.cancel()
    assert (place.health.asked, place.health.most) == (2, 1)


async def test_a_path_that_comes_while_a_save_is_waited_for_keeps_its_runner(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    1. a path has ended, and its state is on its way, when the slot is to let go of its runner
    2. another path is told to that runner; the state arrives; the path is trained, and so is one after it
    """
    place.health.ends.set()
    runner = place.spawner.give()
    (first,) = place.grant(7)
    await runner.hear_runs(7)
    await runner.say(messages.Begun(fence=7), messages.Trained(fence=7, holds=None))
    await until_in_loop(lambda: place.slot.doing == "idle", "the end of the first path")
    waits, until_settled = asyncio.Event(), first.until_settled

    async def until_settled_and_tell() -> None:
        waits.set()
        await until_settled()

    monkeypatch.setattr(first, "until_settled", until_settled_and_tell)
    letting_go = asyncio.create_task(place.slot.let_go())
    await waits.wait()
    (second,) = place.grant(8)
    await runner.hear_runs(8)
    node, step = first.end
    await runner.say(messages.Begun(fence=8))
    await runner.say(messages.NotWritten(fence=7, node=node, step=step, reason="full", full=False))
    await asyncio.wait_for(letting_go, 20.0)
    await runner.say(messages.Trained(fence=8, holds=None))
    await until_in_loop(lambda: second.ending is not None, "the end of the second path")
    assert second.ending == TrainedReport()
    place.grant(9)
    await runner.hear_runs(9)
    assert place.spawner.asked == 1


async def test_a_runner_that_is_let_go_of_ends_whoever_waits_for_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner that is asked to quit hangs. 1. Nobody waits for it any more. 2. The next path has another runner. 3. It
    is killed all the same."""
    monkeypatch.setattr(conversation, "QUIT_SECONDS", 0.2)
    place.health.ends.set()
    runner = place.spawner.give()
    (first,) = place.grant(7)
    await runner.hear_runs(7)
    node, step = first.end
    await runner.say(
        messages.Begun(fence=7),
        messages.NotWritten(fence=7, node=node, step=step, reason="full", full=False),
        messages.Trained(fence=7, holds=None),
    )
    await until_in_loop(lambda: place.slot.doing == "idle" and first.settled, "the end of the path")
    letting_go = asyncio.create_task(place.slot.let_go())
    assert isinstance(await asyncio.wait_for(runner.hear(), 20.0), messages.Quit)
    letting_go.cancel()
    following = place.spawner.give()
    place.grant(8)
    await following.hear_runs(8)
    await asyncio.wait_for(asyncio.shield(runner.process.ended), 20.0)
