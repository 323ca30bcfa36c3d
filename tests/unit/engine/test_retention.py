"""Checkpoints under budgets: what goes, what stays, and that nothing but time is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hippo_core import policies
from hippo_core.engine.commands import (
    CollectCheckpoints,
    DeleteStudy,
    EditStudy,
    PauseStudy,
    PinCheckpoint,
    ResumeStudy,
    UnpinCheckpoints,
)
from hippo_core.engine.events import CheckpointDropped, CheckpointLost, CheckpointPublished
from hippo_core.engine.holdings import Holdings
from hippo_core.engine.retention import STORAGE, collectable
from hippo_core.engine.states import StudyState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_views import trial_views
from hippo_core.errors import NotFound
from hippo_core.retention import Held, Keep, Need, first_to_go
from tests.unit.engine.cluster import SETTINGS, Cluster
from tests.unit.engine.test_cluster import expect_as_trained_alone, spec, submit
from tests.unit.engine.test_policies import study_of
from tests.unit.engine.test_populations import made as population

ASHA = policies.asha(min_steps=1, reduction_factor=3)
SHA = policies.sha(min_steps=1, reduction_factor=3)
PBT = policies.pbt(2)


def cluster_of(seed: int, budget: int | None, workers: dict[str, int] | None = None) -> Cluster:
    return Cluster(seed, workers or {"a": 2, "b": 1}, replace(SETTINGS, checkpoint_budget=budget))


def kept(cluster: Cluster) -> set[tuple[int, int, int]]:
    return {
        (node.id, step, fence)
        for node in cluster.engine.state.nodes.values()
        for step, copies in node.checkpoints.items()
        for fence in copies
    }


def needs(cluster: Cluster) -> dict[tuple[int, int], Need]:
    state = cluster.engine.state
    return {
        (each.node, each.step): each.need
        for plan in state.plans.values()
        for each in Holdings(state, plan).all
    }


def expect_no_start_lost(cluster: Cluster) -> None:
    """I8. Whatever a path was to start from was there when its worker came for it, however late."""
    assert not any(isinstance(event, CheckpointLost) for event in cluster.journal)


def outcome(cluster: Cluster, name: str = "study") -> list[Any]:
    return [
        (each.number, each.state, each.step, each.metrics, each.reason)
        for each in trial_views(cluster.engine, "default", name)
    ]


@pytest.mark.parametrize("budget", [0, 1, 3, 8])
@pytest.mark.parametrize("policy", [policies.full(), SHA], ids=["full", "sha"])
@pytest.mark.parametrize("seed", range(3))
def test_a_budget_costs_time_alone(seed: int, policy: Any, budget: int) -> None:
    """Decisions and metrics are those without a budget; what is trained again is counted, step by step."""
    roomy, tight = cluster_of(seed, None), cluster_of(seed, budget)
    for cluster in (roomy, tight):
        submit(cluster, spec(policy=policy, max_steps=9))
        cluster.run()
        expect_as_trained_alone(cluster, "study")
    assert outcome(tight) == outcome(roomy)
    assert study_of(tight).steps_trained - study_of(tight).steps_retrained == study_of(roomy).steps_trained
    assert study_of(tight).steps_trained == tight.trained
    best = study_view(tight.engine, "default", "study").best_trial
    assert best is not None
    node = study_of(tight).trials[best.number].reached_node
    assert node is not None
    assert best.step in node.checkpoints, "the best trial's checkpoint is always kept"
    assert tight.engine.state.kept_bytes <= max(budget, 1)


@pytest.mark.parametrize("seed", range(6))
def test_promotions_and_forks_go_on_from_states_that_were_evicted(seed: int) -> None:
    """1. ASHA, PBT under a budget of two states. 2. Both end, each history is exact, and some is trained again."""
    retrained = 0
    for searched in (spec(policy=ASHA), population(PBT)):
        cluster = cluster_of(seed, 2)
        submit(cluster, searched)
        cluster.run()
        expect_no_start_lost(cluster)
        expect_as_trained_alone(cluster, "study")
        retrained += study_of(cluster).steps_retrained
    assert retrained > 0


@pytest.mark.parametrize("seed", range(10))
def test_faults_pins_and_budgets_together(seed: int) -> None:
    """Whatever is pinned, evicted, lost and restarted in between: all ends, and is exact."""
    cluster = cluster_of(seed, 3 + seed % 4)
    submit(cluster, replace(spec("first", policy=ASHA), keep=Keep(best=3)))
    submit(cluster, replace(spec("second", policy=SHA), checkpoint_budget=seed % 3))
    for _ in range(60):
        for _ in range(cluster.random.randrange(25)):
            cluster.act()
        name = cluster.random.choice(["first", "second"])
        trial = cluster.random.randrange(36)
        match cluster.random.randrange(9):
            case 0 | 1 | 2:
                try:
                    cluster.tell(PinCheckpoint(project="default", name=name, trial=trial))
                except NotFound:
                    continue  # it has no checkpoint
            case 3:
                cluster.tell(UnpinCheckpoints(project="default", name=name, trial=trial))
            case 4:
                cluster.tell(CollectCheckpoints(project="default", to_bytes=cluster.random.randrange(3)))
            case 5:
                cluster.tell(CollectCheckpoints(project="default", name=name))
            case 6:
                cluster.kill_worker("a")
            case 7:
                cluster.restart_server()
            case _:
                cluster.lose_worker("b")
    cluster.run()
    expect_no_start_lost(cluster)
    for name in ("first", "second"):
        assert study_view(cluster.engine, "default", name).state is StudyState.COMPLETED
        expect_as_trained_alone(cluster, name)


def test_without_a_budget_nothing_is_evicted() -> None:
    cluster = cluster_of(0, None)
    submit(cluster, spec(policy=ASHA))
    cluster.run()
    assert not any(
        isinstance(event, CheckpointDropped) and "budget" in event.reason for event in cluster.journal
    )


@pytest.mark.parametrize("keep", ["best", "best:3", "ends", "all"])
def test_what_keep_says_stays_under_any_budget(keep: str) -> None:
    """The budget is passed then, the state says so, and saves have gone on."""
    cluster = cluster_of(1, 0)
    submit(cluster, replace(spec(policy=SHA, max_steps=9), keep=Keep.parse(keep)))
    cluster.run()
    study = study_of(cluster)
    ends = {(trial.reached_node.id, trial.reached) for trial in study.trials.values() if trial.reached_node}
    left = {(node, step) for node, step, _ in kept(cluster)}
    dropped = {(event.node, event.step) for event in cluster.journal if isinstance(event, CheckpointDropped)}
    over = cluster.engine.volatile.budgets[STORAGE].over
    assert over.startswith(f"over budget: {cluster.engine.state.kept_bytes} B of 0 B; ")
    assert over.endswith(" kept as keep= says")
    ranked = sorted(
        (trial for trial in study.trials.values()),
        key=lambda trial: (-trial.reached, -(trial.value or 0.0), trial.number),
    )
    first = [(trial.reached_node.id, trial.reached) for trial in ranked if trial.reached_node]
    match keep:
        case "best":
            assert left == {first[0]}
        case "best:3":
            assert left == set(first[:3])
        case "ends":
            assert left == ends
        case _:
            saved = {
                (event.node, event.step)
                for event in cluster.journal
                if isinstance(event, CheckpointPublished)
            }
            assert left == saved
            assert not dropped


def test_a_pin_outlives_budgets_until_it_is_taken_back() -> None:
    cluster = cluster_of(0, 0)
    submit(cluster, replace(spec(policy=SHA, max_steps=9), keep=Keep(ends=True)))
    cluster.run()
    worst = next(trial for trial in study_of(cluster).trials.values() if trial.reached == 1)
    assert worst.reached_node is not None
    state = (worst.reached_node.id, 1)
    found = cluster.tell(PinCheckpoint(project="default", name="study", trial=worst.number))
    assert (found.node, found.step) == state  # type: ignore[union-attr]
    cluster.tell(PinCheckpoint(project="default", name="study", trial=worst.number, step=1))
    assert cluster.engine.state.pins == {state: {1: None}}
    assert needs(cluster)[state] is Need.PINNED
    cluster.restart_server()
    assert cluster.tell(UnpinCheckpoints(project="default", name="study", trial=worst.number)) == 1
    assert needs(cluster)[state] is Need.KEPT
    assert cluster.tell(UnpinCheckpoints(project="default", name="study")) == 0


def test_a_pin_goes_with_its_study() -> None:
    cluster = cluster_of(0, None)
    for name in ("first", "second"):
        submit(cluster, spec(name))
    cluster.run()
    cluster.tell(PinCheckpoint(project="default", name="first"))
    assert len(cluster.engine.state.pins) == 1
    cluster.tell(DeleteStudy(project="default", name="first"))
    assert cluster.engine.state.pins == {}


def test_a_study_without_a_value_has_no_best_trial_to_pin() -> None:
    cluster = cluster_of(0, None)
    submit(cluster, spec())
    with pytest.raises(NotFound, match="has no best trial yet"):
        cluster.tell(PinCheckpoint(project="default", name="study"))
    with pytest.raises(NotFound, match="trial 3 of 'study' has no checkpoint"):
        cluster.tell(PinCheckpoint(project="default", name="study", trial=3))


@pytest.mark.parametrize("seed", range(4))
def test_the_budget_of_a_study_takes_nothing_from_another(seed: int) -> None:
    """1. A study keeps all. 2. An equal one may hold nothing. 3. All is left, and counts for both."""
    cluster = cluster_of(seed, None)
    submit(cluster, spec("first", policy=SHA))
    cluster.run()
    before = kept(cluster)
    submit(cluster, replace(spec("second", policy=SHA), checkpoint_budget=0))
    cluster.run()
    assert kept(cluster) == before
    over = cluster.engine.volatile.budgets[study_of(cluster, "second").id].over
    assert "shared with other studies" in over
    cluster.tell(DeleteStudy(project="default", name="first"))
    assert len(kept(cluster)) == 1, "the best trial's"


def test_a_users_word_lets_go_what_nobody_will_go_on_from() -> None:
    """1. A study has ended, another is paused. 2. What is collected is told before, and is of the first one alone."""
    cluster = cluster_of(3, None)
    submit(cluster, spec("ended", policy=SHA))
    cluster.run()
    submit(cluster, spec("paused", policy=SHA, seed=1))
    for _ in range(60):
        cluster.act()
    cluster.tell(PauseStudy(project="default", name="paused"))
    command = CollectCheckpoints(project="default")
    _, wanted = collectable(cluster.engine.state, command)
    before, others = kept(cluster), needs(cluster)
    going = cluster.tell(command)
    assert isinstance(going, tuple)
    assert [each.place for each in going] == [each.place for each in wanted]
    assert {each.place for each in going} == before - kept(cluster)
    assert all(others[each.node, each.step] <= Need.BEST for each in going)
    assert cluster.tell(command) == ()
    assert cluster.tell(CollectCheckpoints(project="elsewhere")) == ()
    cluster.tell(ResumeStudy(project="default", name="paused"))
    cluster.run()
    expect_as_trained_alone(cluster, "paused")


def test_what_is_worth_least_goes_first_until_the_word_is_kept() -> None:
    cluster = cluster_of(0, None)
    submit(cluster, spec(policy=SHA, checkpoint_every=1))
    cluster.run()
    count = len(kept(cluster))
    _, order = collectable(cluster.engine.state, CollectCheckpoints(project="default", to_bytes=0))
    cluster.tell(CollectCheckpoints(project="default", name="study", to_bytes=count - 4))
    assert len(kept(cluster)) == count - 4
    assert {each.place for each in order[:4]}.isdisjoint(kept(cluster))


def test_an_edit_to_a_smaller_budget_holds_at_once() -> None:
    cluster = cluster_of(0, None)
    made = spec(policy=SHA)
    submit(cluster, made)
    cluster.run()
    assert len(kept(cluster)) > 3
    cluster.tell(EditStudy(project="default", name="study", spec=replace(made, checkpoint_budget=3)))
    assert len(kept(cluster)) <= 3
    assert study_of(cluster).state is StudyState.COMPLETED
    assert cluster.engine.volatile.budgets[1].over == ""


def test_a_server_that_is_started_with_a_budget_keeps_to_it_at_once() -> None:
    cluster = cluster_of(0, None)
    submit(cluster, spec(policy=SHA))
    cluster.run()
    cluster.settings = replace(SETTINGS, checkpoint_budget=2)
    cluster.restart_server()
    assert len(kept(cluster)) <= 2


def test_a_state_that_was_saved_twice_loses_a_copy_first() -> None:
    """Once it is there again, the second copy saves nobody anything."""
    held = [
        Held(ancestor=None, seconds=9.0, size_bytes=1, need=Need.KEPT),
        Held(ancestor=0, seconds=0.0, size_bytes=1, need=Need.NOBODY),
        Held(ancestor=0, seconds=0.1, size_bytes=1, need=Need.NOBODY),
    ]
    assert first_to_go(held, 1) == [1]
    cluster = cluster_of(0, None)
    submit(cluster, spec(policy=SHA))
    cluster.run()
    node = next(node for node in cluster.engine.state.nodes.values() if node.checkpoints)
    step, copies = next(iter(node.checkpoints.items()))
    first = max(copies)
    fence = first + 1000
    cluster.engine.apply(
        CheckpointPublished(fence=fence, node=node.id, step=step, size_bytes=1, digest="d" * 64)
    )
    state = cluster.engine.state
    (holdings,) = (Holdings(state, plan) for plan in state.plans.values())
    found = {each.fence: each for each in holdings.all if (each.node, each.step) == (node.id, step)}
    earlier = found.pop(first)
    assert (earlier.need, earlier.seconds, earlier.steps) == (Need.NOBODY, 0.0, 0)
    assert found[fence].steps > 0
