"""One simulation from its seed to its verdict, and the command that replays one."""

from __future__ import annotations

import argparse
import gc
import hashlib
import random
import sys
import time
from dataclasses import dataclass
from enum import StrEnum

from tests.simulation.judgement import all_has_ended, expect_reasons, expect_servers, judge, judge_ended
from tests.simulation.servers import LEADER_SECONDS, SETTINGS
from tests.simulation.virtual_time import Stall
from tests.simulation.world import World

BOUND_SECONDS = 400.0
CALM_SECONDS = 4.0
QUIET_SECONDS = (
    4.0 * LEADER_SECONDS
)  #: nothing is left to do: a lead that nobody renews lapses, what froze goes on
MOST_TURNS = 400_000


class Mode(StrEnum):
    """What a simulation is to show."""

    SAFETY = "safety"  #: faults up to the end: nothing wrong is ever done
    LIVENESS = "liveness"  #: faults stop: everything ends within a bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a simulation.

    Attributes:
        violations: What must not be, and was.
        story: What the nemesis did, in order.
        steps: Steps trained.
        seconds: Virtual seconds until the end.
        journal: A digest of all that was committed.
    """

    seed: int
    mode: Mode
    violations: tuple[str, ...]
    story: tuple[str, ...]
    steps: int
    seconds: float
    turns: int
    journal: str

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, {self.mode}: {len(self.violations)} violations"]
        lines += [f"  {each}" for each in self.violations]
        lines += ["what went wrong on purpose:", *(f"  {each}" for each in self.story)]
        lines.append(f"replay: PYTHONHASHSEED=0 python -m tests.simulation --seed {self.seed}")
        return "\n".join(lines)


def mode_of(seed: int) -> Mode:
    """A quarter of the simulations end in the midst of faults."""
    return Mode.SAFETY if seed % 4 == 3 else Mode.LIVENESS


def simulate(seed: int) -> Verdict:
    """Runs the simulation that follows from a seed."""
    mode = mode_of(seed)
    with World(seed) as world:
        chance, witness = world.chance, world.witness
        end = chance.choice([6.0, 10.0, 16.0])
        world.network.later(chance.uniform(0.0, 0.5), world.users.submit)
        for _ in range(chance.choice([0, 0, 1, 2])):
            world.network.later(chance.uniform(0.0, end * 0.8), world.users.submit)
        for _ in range(chance.choice([0, 1, 3, 6])):
            world.network.later(chance.uniform(0.5, end), world.users.act)
        world.nemesis.plan(end, chance.choice([0, 2, 5, 8]))
        try:
            world.loop.run_until(end, lambda: False, MOST_TURNS)
            if mode is Mode.LIVENESS:
                world.calm_down()
                world.network.later(SETTINGS.lease_seconds + CALM_SECONDS, expect_reasons, world)
                world.loop.run_until(end + BOUND_SECONDS, lambda: all_has_ended(world), MOST_TURNS)
                judge_ended(world, BOUND_SECONDS)
                world.loop.run_until(world.loop.now + QUIET_SECONDS, lambda: False, MOST_TURNS)
                expect_servers(world)
        except Stall as error:
            witness.report(f"I5: {error}")
        judge(world)
        if seed % 4 == 0:
            witness.expect_same_decisions(SETTINGS)
        return Verdict(
            seed=seed,
            mode=mode,
            violations=world.violations(),
            story=tuple(world.nemesis.told),
            steps=witness.steps,
            seconds=world.loop.now,
            turns=world.loop.turns,
            journal=_digest(world),
        )


def _digest(world: World) -> str:
    text = "\n".join(f"{entry.term} {entry.event}" for entry in world.database.journal)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def main() -> None:
    """Runs seeds, and tells of the first that fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, help="run this one, and tell all of it")
    parser.add_argument("--seeds", type=int, help="run so many")
    parser.add_argument("--seconds", type=float, help="run as many as come to an end in so many seconds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--random", action="store_true", help="begin at a seed that nobody has seen")
    parser.add_argument("--stop", action="store_true", help="stop at the first that fails")
    given = parser.parse_args()
    if given.random:
        given.first = random.SystemRandom().randrange(10_000, 2**40)
    if given.seed is not None:
        verdict = simulate(given.seed)
        print(f"{verdict}\nsteps {verdict.steps}, virtual {verdict.seconds:.1f} s, journal {verdict.journal}")  # noqa: T201
        sys.exit(bool(verdict.violations))
    began, seed, bad = time.monotonic(), given.first, 0
    gc.disable()
    while True:
        if given.seconds is not None and time.monotonic() - began >= given.seconds:
            break
        if given.seconds is None and seed - given.first >= (given.seeds or 100):
            break
        verdict = simulate(seed)
        if verdict.violations:
            bad += 1
            print(verdict, flush=True)  # noqa: T201
            if given.stop:
                break
        seed += 1
        if seed % 50 == 0:
            gc.collect()
    spent = time.monotonic() - began
    print(f"{seed - given.first} seeds in {spent:.0f} s, {bad} failed")  # noqa: T201
    sys.exit(bool(bad))
