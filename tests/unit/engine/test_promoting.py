"""Promotions wait for a slot: those that are displaced before cost nothing."""

from __future__ import annotations

import pytest

from benchmarks.scheduling.studies import R3, study
from hippo_core import policies
from hippo_core.engine.events import Event, LeaseGranted, RequestOpened
from hippo_core.simulation import Host, simulate


@pytest.mark.parametrize("slots", [1, 3, 8])
@pytest.mark.parametrize("factor", [2, 3])
def test_no_more_than_one_promotion_is_in_line_beside_the_one_that_a_slot_takes(
    slots: int, factor: int
) -> None:
    """Trials are trained apart, so that each request is a path of its own."""
    promoted: set[int] = set()
    waiting: set[int] = set()
    most = 0

    def watch(event: Event) -> None:
        nonlocal most
        if isinstance(event, RequestOpened) and event.step > 3:
            promoted.add(event.trial)
            waiting.add(event.node)
        elif isinstance(event, LeaseGranted):
            waiting.difference_update(node for node, _, _ in event.stages)
        most = max(most, len(waiting))

    spec = study("R3", R3, 27, policies.asha(min_steps=3, reduction_factor=factor))
    simulate([spec], [Host(name="host", slots=slots)], sharing=False, watch=watch)
    assert most <= 2
    assert len(promoted) >= spec.max_trials // factor


def test_a_promotion_goes_before_what_begins_and_is_no_longer() -> None:
    """A trial comes to its end while most have not begun."""
    begun = 0
    before: list[int] = []

    def watch(event: Event) -> None:
        nonlocal begun
        if isinstance(event, LeaseGranted):
            begun += event.start is None
        elif isinstance(event, RequestOpened) and event.step == 27:
            before.append(begun)

    spec = study("R3", R3, 27, policies.asha(min_steps=3, reduction_factor=3))
    simulate([spec], [Host(name="host", slots=1)], sharing=False, watch=watch)
    assert before[0] < begun // 2
