"""Which checkpoints' files the rows need: what they do not need at one moment, they never will."""

from __future__ import annotations

import pytest

from hippo_core.engine.events import CheckpointPublished, LeaseGranted
from hippo_server.store import Store
from tests.integration.store.stored_cluster import StoredCluster
from tests.unit.engine.test_cluster import PIECES, spec, submit


@pytest.mark.parametrize("seed", range(4))
def test_what_is_not_needed_is_never_recorded_nor_loaded(store: Store, seed: int) -> None:
    """
    1. studies are trained through deaths of workers, lost states and restarts of the server
    2. at many moments the rows are asked what they need
    3. whatever is published or loaded after such a moment was needed at it; what ended leases left was not
    """
    cluster = StoredCluster(seed, {"a": 2, "b": 1}, store)
    submit(cluster, spec(rates=PIECES, checkpoint_every=2, seed=seed))
    faults = [
        lambda: cluster.kill_worker("a"),
        lambda: cluster.lose_worker("b"),
        cluster.lose_checkpoint,
        cluster.restart_server,
        lambda: cluster.kill_runner("a"),
    ]
    moments = []
    for fault in [*faults, *faults]:
        for _ in range(15):
            cluster.act()
        cluster.write()
        moments.append(
            (len(cluster.journal), store.needed_checkpoints(), frozenset(cluster.engine.state.leases))
        )
        fault()
    cluster.run()
    cluster.write()
    moments.append((len(cluster.journal), store.needed_checkpoints(), frozenset(cluster.engine.state.leases)))
    for position, needed, living in moments:
        for event in cluster.journal[position:]:
            if isinstance(event, CheckpointPublished):
                assert needed.holds(event.node, event.step, event.fence)
            elif isinstance(event, LeaseGranted) and event.start is not None:
                assert needed.holds(*event.start)
        granted = {event.fence for event in cluster.journal[:position] if isinstance(event, LeaseGranted)}
        assert needed.writing == living
        assert needed.last_fence == max(granted)
        for fence in granted - living:
            assert not needed.holds(10**6, 1, fence), "an ended lease writes nothing any more"
    kept = {
        (node.id, step, fence)
        for node in cluster.engine.state.nodes.values()
        for step, found in node.checkpoints.items()
        for fence in found
    }
    assert kept
    assert all(needed.holds(*each) for each in kept)


def test_a_database_without_leases_needs_nothing_yet_and_all_to_come(store: Store) -> None:
    needed = store.needed_checkpoints()
    assert (needed.named, needed.writing, needed.last_fence) == (frozenset(), frozenset(), 0)
    assert needed.holds(1, 1, 1)
