"""Idle slots are made ready for paths whose state to start from is still to come, and only where that costs nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hippo_core import policies, samplers, schedules, space
from hippo_core.engine import granting, preparing
from hippo_core.engine.commands import (
    ChangeAccount,
    CordonSlots,
    CreateProject,
    DrainWorker,
    FailedReport,
    Heartbeat,
    MetricsReport,
    PauseStudy,
    RegisterWorker,
    Report,
    SlotSpec,
    StepsReport,
    StopStudy,
    StopTrial,
    SubmitStudy,
    Tick,
    UncordonSlots,
)
from hippo_core.engine.engine import Engine
from hippo_core.engine.states import FailureClass
from hippo_core.program import Resources
from hippo_core.study import StudySpec
from tests.studies import grid
from tests.unit.engine.cluster import SETTINGS, Cluster, SimulatedWorker
from tests.unit.engine.test_cluster import expect_as_trained_alone, spec

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
    return {
        (name, order.slot): order.program.seed
        for name in cluster.workers
        for order in cluster.engine.directives(name).preparations
    }


def until_there(cluster: Cluster, node: int, step: int) -> None:
    while step not in cluster.engine.state.nodes[node].checkpoints:
        cluster.act()


def test_as_many_slots_are_made_ready_as_will_begin_a_path() -> None:
    """1. Of five slots one trains a trunk that two other trials leave: two are made ready, as their leases will be.
    2. The trunk's end is saved: these two are granted the paths, and no slot is to be made ready."""
    cluster = Cluster(0, {"a": 2, "b": 3})
    submit(cluster, forking("study"))
    (lease,) = cluster.engine.directives("a").leases
    assert list(prepared(cluster)) == [("a", 1), ("b", 0)]
    for order in (order for name in "ab" for order in cluster.engine.directives(name).preparations):
        assert order.program == lease.program
        assert order.program_key == lease.program_key
        assert order.bundle == lease.bundle
        assert order.setup_laws == lease.setup_laws
        assert order.secrets == lease.secrets
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
    cluster.workers["b"] = SimulatedWorker("b", 2, "b")
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
    cluster.workers["b"] = SimulatedWorker("b", 1, "b")
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


def join(cluster: Cluster, name: str, slots: int) -> None:
    cluster.workers[name] = SimulatedWorker(name, slots, name)
    cluster.register(name)


def test_slots_are_made_ready_by_priority_then_in_turn() -> None:
    """
    1. two users have a trunk each, from which three others will begin; of four slots that come each is given two
    2. a third study, of higher priority, takes one of them; the others are for what they were
    3. two slots come: both are for that
    """
    cluster = Cluster(0, {"a": 2})
    submit(cluster, forking("ours", branches=4, seed=1), user="u")
    submit(cluster, forking("theirs", branches=4, seed=2), user="v")
    assert len(cluster.engine.state.leases) == 2
    join(cluster, "b", 4)
    before = prepared(cluster)
    assert sorted(before.values()) == [1, 1, 2, 2]
    submit(cluster, replace(forking("urgent", branches=4, seed=3), priority=1), user="v")
    after = prepared(cluster)
    assert len(after) == 3
    assert after.items() < before.items()
    join(cluster, "c", 2)
    assert prepared(cluster) == after | {("c", 0): 3, ("c", 1): 3}
    cluster.run()
    for name in ("ours", "theirs", "urgent"):
        expect_as_trained_alone(cluster, name)


def test_what_slots_are_made_ready_for_stays_whatever_is_reported() -> None:
    """Two users' trunks are trained, report after report: as long as both train, no slot is told of another program."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, forking("ours", branches=4, seed=1), user="u")
    submit(cluster, forking("theirs", branches=4, seed=2), user="v")
    join(cluster, "b", 3)
    before, trunks = prepared(cluster), list(cluster.engine.state.leases.values())
    assert set(before.values()) == {1, 2}
    cluster.engine.reordered()
    while not any(3 in cluster.engine.state.nodes[lease.stages[0][0]].checkpoints for lease in trunks):
        cluster.act()
        if len(cluster.engine.state.leases) == 2:
            assert prepared(cluster) == before
            assert not cluster.engine.reordered()


def test_a_slot_whose_study_waits_for_a_proposal_is_not_made_ready_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    1. a slot has trained the first trial of a study, whose next one is being proposed
    2. another study's trunk is trained, from which others will begin: the slot is not made ready for them
    3. when the first study has been stopped, it is
    """
    cluster = Cluster(0, {"a": 1})
    submit(cluster, replace(spec(name="first"), sampler=samplers.tpe(), policy=policies.full()))
    cluster.propose(cluster.proposals_wanted()[0].study)
    monkeypatch.setattr(cluster, "proposals_wanted", list)  # none is made from now on
    while cluster.engine.state.leases:
        cluster.act()
    assert cluster.engine.state.workers["a"].slots[0].holds
    join(cluster, "b", 1)
    cluster.tell(CordonSlots(worker="a", slot=0))
    submit(cluster, forking("other", seed=2))
    cluster.tell(UncordonSlots(worker="a", slot=0))
    assert [lease.worker for lease in cluster.engine.state.leases.values()] == ["b"]
    assert not prepared(cluster)
    cluster.tell(StopStudy(project=PROJECT, name="first"))
    assert prepared(cluster) == {("a", 0): 2}


def test_nothing_is_made_ready_for_a_path_that_is_told_to_end() -> None:
    """A study is paused while its trunk trains: until that has ended, slots are made ready for it no longer."""
    cluster = Cluster(0, {"a": 3})
    submit(cluster, forking("study"))
    assert len(prepared(cluster)) == 2
    cluster.tell(PauseStudy(project=PROJECT, name="study"))
    (lease,) = cluster.engine.state.leases.values()
    assert lease.stopping
    assert not prepared(cluster)
    assert cluster.engine.reordered() == ["a"]


def test_a_path_goes_to_the_slot_that_is_made_ready_for_it_and_leaves_those_that_are_for_others() -> None:
    """
    1. one slot trains a trunk, another is made ready for the path that will leave it, a third idles
    2. a study of another program comes: it is granted the third one
    3. the fork is saved: the path is granted the slot that is ready, though others idle by then
    """
    cluster = Cluster(0, {"a": 3})
    submit(cluster, forking("study", branches=2, seed=1))
    assert prepared(cluster) == {("a", 1): 1}
    submit(cluster, grid({"lr": space.choice([0.5])}, name="other", max_steps=1, program_changes={"seed": 2}))
    assert {lease.slot for lease in cluster.engine.state.leases.values()} == {0, 2}
    join(cluster, "A", 1)
    trunk = next(iter(cluster.engine.state.leases.values()))
    until_there(cluster, trunk.stages[0][0], 3)
    places = {(lease.worker, lease.slot) for lease in cluster.engine.state.leases.values()}
    assert ("a", 1) in places
    assert ("A", 0) not in places


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


def test_a_study_that_is_stopped_after_its_path_ran_out_of_memory_hinders_no_other() -> None:
    """Its failure is known as long as its trials are; nobody needs the path any more."""
    cluster = Cluster(0, {"a": 3})
    submit(cluster, forking("study"))
    (lease,) = cluster.engine.state.leases.values()
    node, first, _ = lease.stages[0]
    failed = FailedReport(failure=FailureClass.MEMORY, message="", traceback="", node=node, step=first)
    cluster.workers["a"].running.clear()
    cluster.tell(Report(worker="a", incarnation="1", fence=lease.fence, number=1, items=(failed,)))
    cluster.tell(StopStudy(project=PROJECT, name="study"))
    while cluster.engine.state.leases:
        cluster.act()
    submit(cluster, forking("other", seed=5))
    assert cluster.engine.state.cramped
    assert set(prepared(cluster).values()) == {5}
    assert len(prepared(cluster)) == 2


def test_a_slot_is_ready_for_the_values_that_its_path_begins_with() -> None:
    """
    1. two studies of one plan, with other values in the first step, have a trunk each: the third slot is ready for one
    2. nobody will leave that one's trunk any more: the slot is made ready for the other's values
    """
    cluster = Cluster(0, {"a": 3})
    for name, root in (("ours", 0.1), ("theirs", 0.5)):
        rates = [schedules.piecewise([root, 0.01 * (n + 1)], milestones=[3]) for n in range(2)]
        searched = {"lr": space.choice(rates)}
        submit(cluster, grid(searched, name=name, max_steps=9, program_changes={"seed": 0}))
    assert len(cluster.engine.state.plans) == 1
    ours, theirs = (order.setup_laws for order in cluster.engine.directives("a").leases)
    assert ours != theirs
    (order,) = cluster.engine.directives("a").preparations
    assert order.setup_laws == ours
    cluster.tell(StopTrial(project=PROJECT, name="ours", trial=1))
    (order,) = cluster.engine.directives("a").preparations
    assert order.setup_laws == theirs


def test_of_slots_that_are_ready_for_a_plan_one_is_looked_at_for_each_grant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thirty slots are ready for as many paths, which are granted at once: each grant looks at one of them."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, forking("study", branches=31))
    join(cluster, "b", 30)
    assert len(prepared(cluster)) == 30
    looks: list[Any] = []
    options = granting._options

    def count(*arguments: Any) -> Any:
        looks.append(arguments)
        return options(*arguments)

    monkeypatch.setattr(granting, "_options", count)
    (lease,) = cluster.engine.state.leases.values()
    until_there(cluster, lease.stages[0][0], 3)
    assert len(cluster.engine.state.leases) == 31
    assert len(looks) < 3 * 31


def test_a_new_leader_makes_the_same_slots_ready() -> None:
    cluster = Cluster(0, {"a": 3})
    submit(cluster, forking("study"))
    before = prepared(cluster)
    assert before
    cluster.engine = Engine.restore(cluster.journal, SETTINGS, 100.0)
    cluster.now = 100.0
    cluster.register("a")
    assert prepared(cluster) == before


def test_a_slot_stays_ready_while_the_study_runs_unless_others_need_it() -> None:
    """
    1. a slot is made ready for a path that will leave a trunk; its trial is stopped: it is to keep its trainer
    2. another program's trunk is trained, from which others will begin: it is made ready for those
    3. nothing of that is to be trained any more: it is not for anything
    """
    cluster = Cluster(0, {"a": 3})
    submit(cluster, forking("study", branches=2, seed=1))
    assert prepared(cluster) == {("a", 1): 1}
    cluster.engine.reordered()
    cluster.tell(StopTrial(project=PROJECT, name="study", trial=1))
    assert not any(
        preparing.count_followers(cluster.engine.state, each) for each in cluster.engine.state.leases.values()
    )
    assert prepared(cluster) == {("a", 1): 1}
    assert not cluster.engine.reordered()
    submit(cluster, forking("other", branches=2, seed=2))
    assert prepared(cluster) == {("a", 1): 2}
    cluster.tell(StopStudy(project=PROJECT, name="other"))
    assert not prepared(cluster)


def test_a_worker_that_comes_anew_is_told_what_suits_it_now() -> None:
    """1. A slot of it is made ready. 2. It comes back in another environment, where the plan is not trained."""
    cluster = Cluster(0, {"a": 1, "b": 1})
    submit(cluster, forking("study"))
    assert list(prepared(cluster)) == [("b", 0)]
    cluster.tell(
        RegisterWorker(
            worker="b",
            incarnation="2",
            host="b",
            slots=(SlotSpec(index=0, device="cpu", model="", cpus=1, gpus=0),),
            environment={"python": "3.11", "torch": "3", "cuda": None},
            leases=(),
        )
    )
    assert not prepared(cluster)


def test_a_worker_that_comes_back_is_told_the_same() -> None:
    """1. A slot is made ready while another one that would go first is cordoned, and is for use again. 2. Its worker
    connects again, in the same life: what it has made is still what is wanted."""
    cluster = Cluster(0, {"a": 1, "b": 1, "c": 1})
    cluster.tell(CordonSlots(worker="b", slot=0))
    submit(cluster, forking("study", branches=2))
    cluster.tell(UncordonSlots(worker="b", slot=0))
    assert list(prepared(cluster)) == [("c", 0)]
    cluster.engine.reordered()
    cluster.register("c")
    assert list(prepared(cluster)) == [("c", 0)]
    assert not cluster.engine.reordered()


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
        for lease in state.leases.values():
            assert lease.followers in {None, preparing.count_followers(state, lease)}
        for name in cluster.workers:
            for order in cluster.engine.directives(name).preparations:
                seen += 1
                assert state.workers[name].slots[order.slot].idle
                assert order.program_key in keys
    assert seen
    for name in ("first", "second"):
        expect_as_trained_alone(cluster, name)


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """The calls of a function of the module from now on."""
    calls: list[Any] = []
    function = getattr(preparing, name)

    def count(*arguments: Any) -> Any:
        calls.append(arguments)
        return function(*arguments)

    monkeypatch.setattr(preparing, name, count)
    return calls


def test_commands_that_change_nothing_of_it_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats, and reports of steps and metrics."""
    cluster = Cluster(0, {"a": 3})
    submit(cluster, forking("study"))
    assert prepared(cluster)
    looks = counted(monkeypatch, "_prepared")
    (lease,) = cluster.engine.state.leases.values()
    node = lease.stages[0][0]
    items = (
        StepsReport(node=node, start=0, stop=1, train_seconds=1.0, evaluate_seconds=0.1),
        MetricsReport(node=node, step=1, metrics={"accuracy": 0.5}, training={}, evaluated=True),
    )
    cluster.tell(Report(worker="a", incarnation="1", fence=lease.fence, number=1, items=items))
    cluster.tell(Heartbeat(worker="a", incarnation="1"))
    cluster.tell(Tick())
    assert not looks
    cluster.tell(CordonSlots(worker="a", slot=2))
    assert len(looks) == 1


def test_each_slot_is_looked_at_once_however_many_trunks_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    1. twelve trunks of as many programs, for each of which three slots would do, and twenty slots that idle: each is
       looked at once, and what is ordered is as many
    2. where something changes nothing is looked at again, but for what is free
    3. slots that suit nobody are looked at once, too
    """
    cluster = Cluster(0, {"a": 12})
    submit(cluster, *(forking(f"study{seed}", branches=4, seed=seed) for seed in range(12)))
    assert len(cluster.engine.state.leases) == 12
    tries, orders = counted(monkeypatch, "suits"), counted(monkeypatch, "preparation")
    join(cluster, "b", 20)
    assert (len(tries), len(orders)) == (20, 20)
    cluster.tell(CordonSlots(worker="b", slot=3))
    cluster.tell(UncordonSlots(worker="b", slot=3))
    assert (len(tries), len(orders)) == (21, 21)
    other = Cluster(0, {"a": 12})
    submit(other, *(forking(f"study{seed}", branches=4, seed=seed) for seed in range(12)))
    for plan in other.engine.state.plans.values():
        plan.environment = "another"
    tries.clear()
    join(other, "b", 20)
    assert len(tries) == 20
    assert not prepared(other)
