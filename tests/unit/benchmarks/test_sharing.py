"""Where slots' time went in a run that was exported."""

from __future__ import annotations

from benchmarks.sharing import spent
from hippo_core import policies
from hippo_core.simulation import Recording
from tests.unit.simulation.test_replay import trained


def test_all_time_of_slots_is_training_or_has_a_cause() -> None:
    recording: Recording = trained(0, policies.full())
    found = spent(recording)
    over = max(each.seconds for each in recording.arrivals)
    slots = {(each.worker, each.slot) for each in recording.leases.values()}
    training = sum(
        train + evaluate for parts in recording.training.values() for *_, train, evaluate, _ in parts
    )
    assert abs(sum(found.values()) + training - over * len(slots)) < 1e-6
