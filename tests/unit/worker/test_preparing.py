"""A slot that is made ready for a lease to come, and what becomes of that."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hippo_core.sequence import Laws
from hippo_worker.runner import messages
from hippo_worker.slots import conversation, slot
from tests.unit.worker.orders import make_preparation
from tests.unit.worker.place import Place, Runner
from tests.waiting import until_in_loop

OTHER_LAWS = Laws.from_json({"lr": 0.7})


async def hear_prepare(runner: Runner) -> None:
    assert isinstance(await asyncio.wait_for(runner.hear(), 20.0), messages.Prepare)


async def until_prepared(place: Place, runner: Runner) -> None:
    await hear_prepare(runner)
    await runner.say(messages.Prepared(failure=""))
    await until_in_loop(
        lambda: _runner(place) is not None and not place.slot._kept.runner.prepares, "it is known"
    )


def _runner(place: Place) -> Runner | None:
    return place.slot._kept.runner


def results(place: Place) -> dict[str, float]:
    """How often a slot was made ready, by what came of it."""
    registry, name = place.supplies.metrics._made.registry, "hippo_worker_trainers_prepared_total"
    found = {
        result: registry.get_sample_value(name, {"result": result})
        for result in ("kept", "given_up", "failed")
    }
    return {result: value for result, value in found.items() if value}


async def test_a_slot_that_was_made_ready_trains_in_the_same_runner(place: Place) -> None:
    """
    1. an idle slot is made ready, and told so again: one runner makes a trainer
    2. a lease of the same program is told to that runner, although it has not said that it is done
    3. another lease follows there
    """
    runner = place.spawner.give()
    place.slot.prepare(make_preparation())
    place.slot.prepare(make_preparation())
    await hear_prepare(runner)
    place.slot.prepare(make_preparation())
    place.grant(7)
    place.slot.prepare(None)  # as the server says with the lease
    await runner.hear_runs(7)
    await runner.say(messages.Prepared(failure=""), messages.Begun(fence=7))
    place.grant(8)
    await runner.hear_runs(8)
    assert (place.spawner.asked, place.bundles.asked) == (1, ["b"])
    assert results(place) == {"kept": 1}


async def test_a_lease_of_another_program_does_not_wait_for_a_trainer_that_is_made(place: Place) -> None:
    preparing, runner = place.spawner.give(), place.spawner.give()
    place.slot.prepare(make_preparation())
    await hear_prepare(preparing)
    place.grant(7, bundle="other")
    await runner.hear_runs(7)
    assert preparing.process.ended.done(), "it was killed, and not asked to end"
    assert results(place) == {"given_up": 1}


async def test_a_lease_with_other_values_at_setup_does_not_wait_for_a_trainer_that_is_made(
    place: Place,
) -> None:
    preparing, runner = place.spawner.give(), place.spawner.give()
    place.slot.prepare(make_preparation())
    await hear_prepare(preparing)
    place.grant(7, setup_laws=OTHER_LAWS)
    await runner.hear_runs(7)
    assert preparing.process.ended.done()
    assert results(place) == {"given_up": 1}


async def test_a_runner_that_has_made_a_trainer_is_used_whatever_the_values(place: Place) -> None:
    """Whether ``setup`` would have seen the same, it finds out itself."""
    runner = place.spawner.give()
    place.slot.prepare(make_preparation())
    await until_prepared(place, runner)
    place.grant(7, setup_laws=OTHER_LAWS)
    await runner.hear_runs(7)
    assert place.spawner.asked == 1


async def test_setups_do_not_queue(place: Place) -> None:
    """1. While a trainer is made, another is ordered, and then a third one. 2. The first runner is killed, the second
    is not even started, and the third makes one trainer."""
    first, last = place.spawner.give(), place.spawner.give()
    place.slot.prepare(make_preparation())
    await hear_prepare(first)
    place.slot.prepare(make_preparation(bundle="other"))
    place.slot.prepare(make_preparation(setup_laws=OTHER_LAWS))
    await hear_prepare(last)
    assert first.process.ended.done()
    place.grant(7, setup_laws=OTHER_LAWS)
    await last.hear_runs(7)
    assert place.spawner.asked == 2


async def test_a_lease_that_comes_while_a_runner_starts_is_not_kept_waiting_for_a_trainer(
    place: Place,
) -> None:
    place.slot.prepare(make_preparation())
    await until_in_loop(lambda: place.spawner.asked == 1, "a runner is to come")
    place.grant(7)
    runner = place.spawner.give()
    await runner.hear_runs(7)
    assert place.spawner.asked == 1


@pytest.mark.parametrize("is_made", [True, False])
async def test_a_trainer_goes_when_nothing_is_ordered_any_more(place: Place, is_made: bool) -> None:
    runner = place.spawner.give()
    place.slot.prepare(make_preparation())
    if is_made:
        await until_prepared(place, runner)
    else:
        await hear_prepare(runner)
    place.slot.prepare(None)
    await until_in_loop(lambda: _runner(place) is None, "its end")
    assert runner.process.ended.done()
    assert results(place) == {"given_up": 1}


@pytest.mark.parametrize("is_made", [True, False])
async def test_a_trainer_that_was_made_goes_for_a_path_that_is_to_be_alone(
    place: Place, is_made: bool
) -> None:
    runner = place.spawner.give()
    place.slot.prepare(make_preparation())
    if is_made:
        await until_prepared(place, runner)
    else:
        await hear_prepare(runner)
    await asyncio.wait_for(place.slot.let_go(), 20.0)
    assert runner.process.ended.done()


async def test_what_is_ordered_while_a_path_ends_begins_after_it(place: Place) -> None:
    runner, following = place.spawner.give(), place.spawner.give()
    place.grant(7)
    await runner.hear_runs(7)
    await runner.say(messages.Begun(fence=7))
    place.slot.prepare(make_preparation(bundle="other"))
    await runner.say(messages.Released(fence=7, reason="", holds=None), messages.Settled(fence=7))
    assert isinstance(await asyncio.wait_for(runner.hear(), 20.0), messages.Quit)
    runner.die()
    await hear_prepare(following)


async def test_a_runner_that_dies_while_it_makes_a_trainer_is_followed_by_the_leases_own(
    place: Place,
) -> None:
    runner = place.spawner.give()
    place.slot.prepare(make_preparation())
    await hear_prepare(runner)
    runner.die()
    await until_in_loop(lambda: results(place) == {"failed": 1}, "it is given up")
    assert place.spawner.asked == 1
    (lease,) = place.grant(7)
    await place.spawner.give().hear_runs(7)
    assert lease.ending is None


async def test_a_lease_that_no_longer_stands_does_not_wait_for_a_setup_that_hangs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. A lease is told to the runner that makes its trainer, and hangs. 2. The lease is dropped: the runner is
    killed, and the slot trains the next one."""
    monkeypatch.setattr(slot, "DROP_SECONDS", 0.1)
    runner = place.spawner.give()
    place.slot.prepare(make_preparation())
    await hear_prepare(runner)
    (lease,) = place.grant(7)
    await runner.hear_runs(7)
    await place.slot.drop(lease)
    await asyncio.wait_for(asyncio.shield(runner.process.ended), 20.0)
    place.grant(8)
    await place.spawner.give().hear_runs(8)


async def test_what_is_ordered_before_a_lease_has_begun_holds_after_it(place: Place) -> None:
    """1. A slot is made ready. 2. A lease comes and, before the slot has turned to it, the order for what follows.
    3. The lease ends: the slot is made ready for that."""
    runner, following = place.spawner.give(), place.spawner.give()
    place.slot.prepare(make_preparation())
    await until_prepared(place, runner)
    place.grant(7)
    place.slot.prepare(make_preparation(bundle="other"))
    await runner.hear_runs(7)
    await runner.say(messages.Begun(fence=7), messages.Released(fence=7, reason="", holds=None))
    await runner.say(messages.Settled(fence=7))
    assert isinstance(await asyncio.wait_for(runner.hear(), 20.0), messages.Quit)
    runner.die()
    await hear_prepare(following)


async def test_a_lease_goes_on_in_a_runner_whose_saves_are_waited_for(place: Place) -> None:
    """1. A path has ended, and its state is on its way, when the slot is to be made ready for another program.
    2. A lease of the first program comes: it is trained in the runner that is there, as nothing had ended that yet."""
    place.health.ends.set()
    runner = place.spawner.give()
    place.grant(7)
    await runner.hear_runs(7)
    await runner.say(messages.Begun(fence=7), messages.Trained(fence=7, holds=None))
    await until_in_loop(lambda: place.slot.doing == "idle", "the end of the first path")
    place.slot.prepare(make_preparation(bundle="other"))
    await until_in_loop(lambda: "other" in place.bundles.asked, "the other's code is fetched")
    place.grant(8)
    await runner.hear_runs(8)
    assert place.spawner.asked == 1


async def begin_to_let_go(place: Place) -> Runner:
    """A runner that was told to end, as the slot is made ready for another program, and that takes its time."""
    old = place.spawner.give()
    place.grant(7)
    await old.hear_runs(7)
    await old.say(messages.Begun(fence=7), messages.Released(fence=7, reason="", holds=None))
    await old.say(messages.Settled(fence=7))
    await until_in_loop(lambda: place.slot.doing == "idle", "the end of its path")
    place.slot.prepare(make_preparation(bundle="other"))
    assert isinstance(await asyncio.wait_for(old.hear(), 20.0), messages.Quit)
    return old


async def test_the_next_runner_comes_when_the_one_before_is_gone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process holds until it ends, as a lock or a GPU's memory, the next one's setup may need."""
    monkeypatch.setattr(conversation, "QUIT_SECONDS", 3600.0)
    old, runner = await begin_to_let_go(place), place.spawner.give()
    place.grant(8, bundle="other")
    await until_in_loop(lambda: not place.slot._waiting, "its turn")
    for _ in range(10):
        await asyncio.sleep(0)
    assert place.spawner.asked == 1
    old.die()
    await runner.hear_runs(8)


async def test_a_path_that_is_to_be_alone_has_the_memory_of_runners_on_their_way_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "QUIT_SECONDS", 3600.0)
    old = await begin_to_let_go(place)
    place.slot.prepare(None)
    letting_go = asyncio.create_task(place.slot.let_go())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not letting_go.done()
    place.spawner.give()
    old.die()
    await asyncio.wait_for(letting_go, 20.0)


async def test_no_runner_outlives_a_slot_that_ends_while_one_is_to_be_made_after_another(
    tmp_path: Path,
) -> None:
    """1. A runner is to start for one order. 2. Another order takes its place. 3. The slot ends; the runner comes."""
    place = Place(tmp_path)
    running = asyncio.create_task(place.slot.run())
    place.slot.prepare(make_preparation())
    await until_in_loop(lambda: place.spawner.asked == 1, "a runner is to come")
    place.slot.prepare(make_preparation(bundle="other"))
    running.cancel()
    await asyncio.wait({running})
    runner = place.spawner.give()
    for _ in range(10):
        await asyncio.sleep(0)
    assert _runner(place) is None
    runner.die()
    runner.process.close()


async def test_a_setup_that_fails_is_not_tried_again_before_a_lease_meets_it(place: Place) -> None:
    runner = place.spawner.give()
    place.slot.prepare(make_preparation())
    await hear_prepare(runner)
    await runner.say(messages.Prepared(failure="RuntimeError: no data"))
    runner.die()
    await until_in_loop(lambda: results(place) == {"failed": 1}, "it has failed")
    place.slot.prepare(make_preparation())
    (lease,) = place.grant(7)
    await place.spawner.give().hear_runs(7)
    assert (place.spawner.asked, lease.ending) == (2, None)
    assert results(place) == {"failed": 1}


async def test_a_setup_ends_with_the_lease_that_took_it_over(place: Place) -> None:
    """1. A lease takes over a trainer that is being made, and is given back before it begins: nobody waits for that
    trainer, and its runner is killed. 2. The next lease has a runner of its own."""
    runner = place.spawner.give()
    place.slot.prepare(make_preparation())
    await hear_prepare(runner)
    (lease,) = place.grant(7)
    await runner.hear_runs(7)
    await place.slot.stop(lease, True, "paused")
    assert isinstance(await asyncio.wait_for(runner.hear(), 20.0), messages.Stop)
    await runner.say(messages.Returned(fence=7))
    await asyncio.wait_for(asyncio.shield(runner.process.ended), 20.0)
    following = place.spawner.give()
    place.grant(8, setup_laws=OTHER_LAWS)
    await following.hear_runs(8)


async def test_a_setup_that_several_leases_wait_for_goes_on_when_one_is_given_back(place: Place) -> None:
    runner = place.spawner.give()
    place.slot.prepare(make_preparation())
    await hear_prepare(runner)
    first, _ = place.grant(7, 8)
    await runner.hear_runs(7, 8)
    await place.slot.stop(first, True, "paused")
    assert isinstance(await asyncio.wait_for(runner.hear(), 20.0), messages.Stop)
    await runner.say(messages.Returned(fence=7), messages.Prepared(failure=""), messages.Begun(fence=8))
    await until_in_loop(lambda: place.slot._kept.runner.has_begun, "the other has begun")
    assert not runner.process.ended.done()


async def test_a_lease_with_other_values_does_not_wait_for_a_setup_that_was_given_back(place: Place) -> None:
    """1. A lease takes over a trainer that is being made; one with other values waits behind it. 2. The first is given
    back: the setup is of no use to the other, which has a runner of its own."""
    preparing, runner = place.spawner.give(), place.spawner.give()
    place.slot.prepare(make_preparation())
    await hear_prepare(preparing)
    (first,), _ = place.grant(7), place.grant(8, setup_laws=OTHER_LAWS)
    await preparing.hear_runs(7, 8)
    await place.slot.stop(first, True, "paused")
    assert isinstance(await asyncio.wait_for(preparing.hear(), 20.0), messages.Stop)
    await preparing.say(messages.Returned(fence=7))
    await runner.hear_runs(8)
    assert preparing.process.ended.done()
    assert place.slot._stillborn == 0, "it did not die of itself"


async def test_setups_that_fail_ahead_do_not_fail_a_lease(place: Place) -> None:
    for fence in range(slot.STILLBORN):
        failing = place.spawner.give()
        place.slot.prepare(make_preparation(bundle=f"b{fence}"))
        await hear_prepare(failing)
        await failing.say(messages.Prepared(failure="OSError: flaky"))
        await asyncio.wait_for(asyncio.shield(failing.process.ended), 20.0)
        runner = place.spawner.give()
        place.grant(fence, bundle=f"b{fence}")
        await runner.hear_runs(fence)
        await runner.say(messages.Begun(fence=fence), messages.Trained(fence=fence, holds=None))
        await runner.say(messages.Settled(fence=fence))
        await until_in_loop(lambda: place.slot.doing == "idle", "its end")
        runner.die()
        await asyncio.wait_for(asyncio.shield(runner.process.ended), 20.0)


async def test_a_setup_that_hangs_is_ended(place: Place) -> None:
    runner = place.spawner.give()
    place.slot.prepare(make_preparation(stall_seconds=0.05))
    await hear_prepare(runner)
    await until_in_loop(lambda: results(place) == {"failed": 1}, "it is ended")
    assert runner.process.ended.result() == -signal.SIGKILL
    assert place.spawner.asked == 1


async def test_a_slot_is_not_made_ready_where_a_secret_lacks(place: Place) -> None:
    place.slot.prepare(make_preparation(secrets=("KEY",)))
    await until_in_loop(lambda: results(place) == {"failed": 1}, "it was tried")
    assert place.spawner.asked == 0
    runner = place.spawner.give()
    place.grant(7)
    await runner.hear_runs(7)


def test_what_is_printed_for_a_trainer_before_a_path_is_in_its_log(tmp_path: Path) -> None:
    code = """
import subprocess
import sys
from pathlib import Path
from hippo_worker.runner.capture import Capture

folder = Path(sys.argv[1])
capture = Capture(folder / "runner.log")
print("before")
capture.keep_for_next()
print("setup", flush=True)
loader = subprocess.Popen(["sh", "-c", "read word && echo $word in a process of setup"], stdin=subprocess.PIPE)
capture.get_ready(1, folder / "1", 7)
for fence in (1, 2):
    capture.to_node(fence, folder / str(fence), 7)
    print(f"step of {fence}", flush=True)
    if fence == 1:
        loader.communicate(b"batch\\n")
    capture.to_idle()
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    assert (tmp_path / "1" / "7.log").read_text() == "setup\nstep of 1\nbatch in a process of setup\n"
    assert (tmp_path / "2" / "7.log").read_text() == "step of 2\n"
