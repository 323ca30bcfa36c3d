"""What is slow, or shows another time, is not dead: no lease is given up for it."""

from __future__ import annotations

import pytest

from hippo_core.engine.events import LeaseGranted, LeaseStateChanged
from tests.simulation.judgement import all_has_ended, judge
from tests.simulation.network import Weather
from tests.simulation.run import BOUND_SECONDS, MOST_TURNS
from tests.simulation.servers import SETTINGS
from tests.simulation.world import World

STUDIES = 4
#: As 2 seconds are to production's lease of 30.
LATENCY_SECONDS = SETTINGS.lease_seconds / 15


def expect_no_alarm(world: World) -> None:
    """All studies end, and no lease was taken to be lost on the way."""
    for number in range(STUDIES):
        world.network.later(5.0 * number, world.users.submit)
    world.loop.run_until(5.0 * STUDIES, lambda: False, MOST_TURNS)
    world.loop.run_until(BOUND_SECONDS, lambda: all_has_ended(world), MOST_TURNS)
    assert all_has_ended(world)
    judge(world)
    assert not world.violations()
    events = [entry.event for entry in world.database.journal]
    assert any(isinstance(event, LeaseGranted) for event in events)
    alarms = [
        each
        for each in events
        if isinstance(each, LeaseStateChanged) and each.state in ("orphaned", "expired")
    ]
    assert alarms == []


@pytest.mark.parametrize("seed", range(4))
def test_a_slow_network_that_loses_calls_costs_no_lease(seed: int) -> None:
    """Every message takes up to a fifteenth of a lease, and one call in ten, or its reply, comes to nothing."""
    with World(seed) as world:
        world.network.weather = Weather(slowest=LATENCY_SECONDS, loses=0.1)
        expect_no_alarm(world)


@pytest.mark.parametrize("seed", range(4))
def test_clocks_that_differ_and_jump_cost_no_lease(seed: int) -> None:
    """Wall clocks of servers, workers and clients are up to an hour off, and jump again and again, forward and back."""
    with World(seed) as world:

        def jump() -> None:
            skews = [-3600.0, -1.0, 0.0, 1.0, 3600.0]
            for host in (*world.servers, *world.workers):
                host.skew = host.process.skew = world.chance.choice(skews)
            world.users.process.skew = world.chance.choice(skews)
            world.network.later(0.7, jump)

        jump()
        expect_no_alarm(world)
