"""Idle slots are made ready for paths whose state to start from is still to come, and only where that costs nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hippo_core import schedules, space
from hippo_core.engine.commands import (
    ChangeAccount,
    CordonSlots,
    CreateProject,
    DrainWorker,
    FailedReport,
    PauseStudy,
    Report,
    SubmitStudy,
    Tick,
)
from hippo_core.engine.engine import Engine
from hippo_core.engine.states import FailureClass
from hippo_core.program import Resources
from hippo_core.study import StudySpec
from tests.studies import grid
from tests.unit.engine.cluster import SETTINGS, Cluster, SimulatedWorker
from tests.unit.engine.test_cluster import expect_as_trained_alone

PROJECT = "default"


def forking(name: str, branches: int = 3, steps: int = 9, seed: int = 0, **changes: Any) -> StudySpec:
    """Trials that part at step 3: one of them goes on where the trunk is trained."""
    rates = [schedules.piecewise([0.1, 0.01 * (n + 1)], milestones=[3]) for n in range(branches)]
    searched = {"lr": space.choice(rates)}
    return grid(searched, name=name, max_steps=steps, program_changes={"seed": seed, **changes})


def submit(cluster: Cluster, *studies: StudySpec, user: str = "u") -> None:
    for each in studies:
        cluster.tell(SubmitStudy(project=PROJECT, user=user, spec=each))


def prepared(cluster: Cluster) -> dict[tuple[str, int], int]:
    """By slot: the seed of the program that it is to be made ready for."""
    return {place: order.program.seed for place, order in cluster.engine.preparations().items()}


def until_there(cluster: Cluster, node: int, step: int) -> None:
    while step not in cluster.engine.state.nodes[node].checkpoints:
        cluster.act()


def test_as_many_slots_are_made_ready_as_will_begin_a_path() -> None:
    """1. Of five slots one trains a trunk that two other trials leave: two are made ready, as their leases will be.
    2. The trunk's end is saved: these two are granted the paths, and no slot is to be made ready."""
    cluster = Cluster(0, {"a": 2, "b": 3})
    submit(cluster, forking("study"))
    (lease,) = cluster.engine.directives("a").leases
    found = cluster.engine.preparations()
    assert list(found) == [("a", 1), ("b", 0)]
    for order in found.values():
        assert order.program == lease.program
        assert order.program_key == lease.program_key
        assert order.bundle == lease.bundle
        assert order.setup_laws == lease.setup_laws
        assert order.secrets == lease.secrets
    assert [each.slot for each in cluster.engine.directives("a").preparations] == [1]
    assert [each.slot for each in cluster.engine.directives("b").preparations] == [0]
    until_there(cluster, lease.stages[0].node, 3)
    granted = {(each.worker, each.slot) for each in cluster.engine.state.leases.values()}
    assert granted == {("a", 0), ("a", 1), ("b", 0)}
    assert not prepared(cluster)
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_a_slot_that_has_trained_the_plan_is_ready_and_counts() -> None:
    """1. Two slots have trained trials of a plan, and hold their ends. 2. A further study forks from a new trunk of the
    plan: one slot trains it, the other is ready, and of two others one is made ready."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, forking("first", branches=2))
    cluster.run()
    assert all(slot.holds for slot in cluster.engine.state.workers["a"].slots.values())
    cluster.workers["b"] = SimulatedWorker("b", 2)
    cluster.register("b")
    rates = [schedules.piecewise([0.5, 0.01 * (n + 1)], milestones=[3]) for n in range(3)]
    submit(
        cluster, grid({"lr": space.choice(rates)}, name="second", max_steps=9, program_changes={"seed": 0})
    )
    (lease,) = cluster.engine.state.leases.values()
    assert lease.worker == "a"
    assert list(prepared(cluster)) == [("b", 0)]
    cluster.run()
    expect_as_trained_alone(cluster, "second")


def test_what_a_slot_holds_of_a_plan_that_is_trained_on_is_kept() -> None:
    """1. A slot holds a state of a plan that another slot trains. 2. A path of another program comes: it is not made
    ready for that. 3. Nothing is to be trained of the first plan any more: it is."""
    cluster = Cluster(0, {"a": 2})
    for name, steps in (("short", 2), ("long", 200)):
        submit(cluster, grid({"lr": space.choice([1.0 / steps])}, name=name, max_steps=steps))
    while len(cluster.engine.state.leases) > 1:
        cluster.act()
    assert cluster.engine.state.workers["a"].slots[0].holds
    cluster.workers["b"] = SimulatedWorker("b", 1)
    cluster.register("b")
    submit(cluster, forking("other", branches=2, seed=2))
    assert {lease.worker for lease in cluster.engine.state.leases.values()} == {"a", "b"}
    assert not prepared(cluster)
    cluster.tell(PauseStudy(project=PROJECT, name="long"))
    assert prepared(cluster) == {("a", 0): 2}


def test_nothing_is_made_ready_in_slots_that_would_not_be_granted_the_path() -> None:
    """One that is too small, one that is cordoned, and those of a worker that drains."""
    cluster = Cluster(0, {"a": 3, "b": 1})
    cluster.tell(CordonSlots(worker="a", slot=1))
    cluster.tell(DrainWorker(worker="b"))
    submit(cluster, forking("study"))
    assert list(prepared(cluster)) == [("a", 2)]
    large = Cluster(0, {"a": 2})
    large.engine.state.workers["a"].slots[0].cpus = 2
    submit(large, forking("study", resources=Resources(cpus=2)))
    assert len(large.engine.state.leases) == 1
    assert not prepared(large)


def test_a_limit_of_slots_holds_for_slots_that_are_made_ready() -> None:
    cluster = Cluster(0, {"a": 4})
    cluster.tell(CreateProject(project=PROJECT))
    cluster.tell(ChangeAccount(project=PROJECT, user="u", changes={"max_slots": 2}))
    submit(cluster, forking("study", branches=4))
    assert list(prepared(cluster)) == [("a", 1)]


def test_slots_are_made_ready_by_priority_then_in_turn() -> None:
    """1. Two users have a trunk each, from which three others will begin; two slots idle: each is given one. 2. With a
    third study, of higher priority, both are for that."""
    cluster = Cluster(0, {"a": 5})
    submit(cluster, forking("ours", branches=4, seed=1), user="u")
    submit(cluster, forking("theirs", branches=4, seed=2), user="v")
    assert len(cluster.engine.state.leases) == 2
    assert sorted(prepared(cluster).values()) == [1, 1, 2]
    submit(cluster, replace(forking("urgent", branches=4, seed=3), priority=1), user="v")
    assert sorted(prepared(cluster).values()) == [3, 3]
    cluster.run()
    for name in ("ours", "theirs", "urgent"):
        expect_as_trained_alone(cluster, name)


def test_nothing_is_made_ready_while_a_path_is_to_train_alone_for_lack_of_memory() -> None:
    cluster = Cluster(0, {"a": 3})
    submit(cluster, forking("study"))
    assert prepared(cluster)
    (lease,) = cluster.engine.state.leases.values()
    node, first, _ = lease.stages[0]
    failed = FailedReport(failure=FailureClass.MEMORY, message="", traceback="", node=node, step=first)
    cluster.workers["a"].running.clear()
    cluster.tell(Report(worker="a", incarnation="1", fence=lease.fence, number=1, items=(failed,)))
    assert cluster.engine.state.cramped
    assert not prepared(cluster)


def test_a_new_leader_makes_the_same_slots_ready() -> None:
    cluster = Cluster(0, {"a": 3})
    submit(cluster, forking("study"))
    again = Engine.restore(cluster.journal, SETTINGS, 100.0)
    again.handle(Tick(), 100.0)
    assert again.preparations() == cluster.engine.preparations() != {}


@pytest.mark.parametrize("seed", range(6))
def test_only_slots_that_idle_are_made_ready_whatever_happens(seed: int) -> None:
    """Each is for a program of a study that runs, and what is granted is as without."""
    cluster = Cluster(seed, {"a": 2, "b": 3})
    submit(cluster, forking("first", branches=4, seed=1), forking("second", branches=3, steps=6, seed=2))
    seen = 0
    while cluster.engine.state.active:
        cluster.act()
        state = cluster.engine.state
        keys = {state.studies[number].spec.program.key for number in state.active}
        for (name, index), order in cluster.engine.preparations().items():
            seen += 1
            assert state.workers[name].slots[index].idle
            assert order.program_key in keys
    assert seen
    for name in ("first", "second"):
        expect_as_trained_alone(cluster, name)
