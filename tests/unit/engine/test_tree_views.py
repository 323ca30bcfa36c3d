"""A study's stage tree as people see it, at every moment of random runs, against what the engine then does."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from hippo_core import policies
from hippo_core.drawings.stage_tree_text import to_text
from hippo_core.drawings.tree_shape import TreeShape
from hippo_core.engine.commands import PauseStudy
from hippo_core.engine.events import LeaseGranted, PathFailed
from hippo_core.engine.states import NodeState, TrialState
from hippo_core.engine.tree_survey import TreeSurvey
from hippo_core.engine.tree_views import stage_tree, tree_nodes
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.tree_node import Folded, TreeNode
from tests.unit.engine.cluster import Cluster, SimulatedWorker
from tests.unit.engine.test_cluster import distinct_prefixes, spec, submit

POLICIES = [policies.full(), policies.asha(min_steps=1, reduction_factor=3)]


def look(cluster: Cluster) -> dict[int, TreeNode]:
    return {node.node: node for node in stage_tree(cluster.engine, "default", "study")}


def join(cluster: Cluster, name: str) -> None:
    """A worker with one slot comes."""
    cluster.workers[name] = SimulatedWorker(name, 1, name)
    cluster.register(name)


def way(nodes: dict[int, TreeNode], node: TreeNode, to: int) -> int:
    """The steps left to train on the way to a state."""
    above = 0 if node.parent is None else way(nodes, nodes[node.parent], node.start)
    return above + max(0, to - max(node.start, node.trained))


def training_now(cluster: Cluster) -> set[int]:
    """The nodes of the steps that paths train next."""
    left = (
        [node for node, _, stop in lease.stages[lease.index :] if stop > lease.step]
        for lease in cluster.engine.state.leases.values()
        if lease.training
    )
    return {nodes[0] for nodes in left if nodes}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("seed", range(6))
def test_states_are_what_slots_do_and_what_they_may_be_granted(seed: int, policy: policies.Policy) -> None:
    """1. What runs is what a lease trains. 2. A slot that comes is granted what was ready, if any was."""
    cluster = Cluster(seed, {"a": 1})
    submit(cluster, spec(policy=policy))
    seen: set[NodeState] = set()
    moments = 0
    while cluster.engine.state.active:
        nodes = look(cluster)
        running = {number for number, node in nodes.items() if node.state is NodeState.RUNNING}
        done = {number for number, node in nodes.items() if node.state is NodeState.TRAINED}
        assert done == {number for number, node in nodes.items() if node.trained == node.stop}
        assert running == training_now(cluster) - done
        quiet = {NodeState.RUNNING, NodeState.TRAINED}
        assert all(bool(node.reason) == (node.state not in quiet) for node in nodes.values())
        seen.update(node.state for node in nodes.values())
        moments += 1
        if moments % 60 == 0 and moments < 600:
            ready = {number for number, node in nodes.items() if node.state is NodeState.READY}
            known = len(cluster.journal)
            join(cluster, f"w{moments}")
            granted = {
                event.stages[0][0] for event in cluster.journal[known:] if isinstance(event, LeaseGranted)
            }
            assert granted <= ready
            assert bool(granted) == bool(ready)
        cluster.act()
    # What is promoted one rung at a time is often a single stage, so that no slot has another before it.
    rare = {NodeState.GRANTED, NodeState.WAITING} if policy.name == "asha" else set()
    assert seen >= set(NodeState) - rare
    assert {node.state for node in look(cluster).values()} == {NodeState.TRAINED}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("seed", range(6))
def test_what_sharing_saved_adds_up_over_the_nodes(seed: int, policy: policies.Policy) -> None:
    """At any moment: what all trials came to, less the distinct prefixes among that, found by brute force."""
    cluster = Cluster(seed, {"a": 2})
    submit(cluster, spec(policy=policy))
    moments = 0
    while cluster.engine.state.active:
        cluster.act()
        moments += 1
        if moments % 25 == 0 or not cluster.engine.state.active:
            study = cluster.engine.state.study_named("default", "study")
            assert study is not None
            came = sum(trial.reached for trial in study.trials.values())
            nodes = look(cluster).values()
            if all(trial.target is None for trial in study.trials.values()):
                assert sum(node.steps_saved for node in nodes) == came - distinct_prefixes(cluster, "study")
            assert sum(node.stop - node.start for node in nodes) >= distinct_prefixes(cluster, "study")
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    ends = [(each.step, each.state, each.count) for node in look(cluster).values() for each in node.ends]
    trials = Counter((trial.reached, trial.state.value) for trial in study.trials.values())
    assert sum(count for *_, count in ends) == trials.total()
    assert {
        place: sum(count for *other, count in ends if tuple(other) == place) for place in trials
    } == trials
    assert sum(node.steps_saved for node in look(cluster).values()) == sum(
        trial.reached for trial in study.trials.values()
    ) - distinct_prefixes(cluster, "study")


@pytest.mark.parametrize("seed", range(4))
def test_the_critical_path_is_the_longest_way_that_a_trial_has_to_go(seed: int) -> None:
    """1. Its nodes hang on each other and have steps left. 2. No trial has more steps left than it has."""
    cluster = Cluster(seed, {"a": 2})
    submit(cluster, spec())
    while cluster.engine.state.active:
        nodes = look(cluster)
        critical = [node for node in nodes.values() if node.critical]
        for upper, lower in pairwise(critical):
            assert lower.parent == upper.node
        longest = max(way(nodes, node, node.stop) for node in nodes.values())
        assert bool(critical) == (longest > 0)
        if critical:
            assert way(nodes, critical[-1], critical[-1].stop) == longest  # all steps cost alike here
        cluster.act()


def test_why_a_node_waits_is_told_in_words() -> None:
    """1. Nobody is there. 2. A parent is trained. 3. A failure holds it back. 4. The study is paused."""
    cluster = Cluster(0, {})
    submit(cluster, spec())
    assert {node.reason for node in look(cluster).values() if node.parent is None} == {"no worker is there"}
    join(cluster, "a")
    while not any(node.state is NodeState.RUNNING for node in look(cluster).values()):
        cluster.act()
    nodes = look(cluster)
    waiting = [node for node in nodes.values() if node.state is NodeState.WAITING]
    assert waiting
    for node in waiting:
        assert node.reason == f"waits for node {node.parent} to come to step {node.start}"
    granted = [node for node in nodes.values() if node.state is NodeState.GRANTED]
    assert {node.reason for node in granted} <= {"slot 0 of worker a comes to it"}
    numbers = {number for node in nodes.values() for number in node.trials}
    trials = [trial_detail(cluster.engine, "default", "study", number).trial for number in numbers]
    assert {trial.reason for trial in trials if trial.state is TrialState.WAITING} == {
        "waits for a free slot"
    }
    cluster.receive(cluster.workers["a"])
    cluster.fail_training("a")
    for running in list(cluster.workers["a"].running.values()):
        cluster.report(cluster.workers["a"], running)
    (failed,) = [event.node for event in cluster.journal if isinstance(event, PathFailed)]
    again = "being tried again after a failure: ValueError: no"
    assert look(cluster)[failed].reason == again
    cluster.tell(PauseStudy(project="default", name="study"))
    assert all(
        "the study is paused" in node.reason or "tried again" in node.reason
        for node in look(cluster).values()
        if node.state is NodeState.WAITING
    )


def test_what_failed_in_its_first_step_is_in_the_node_of_that_step() -> None:
    """Nothing of it is trained; all trials are somewhere, and where they failed."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec())
    while cluster.engine.state.active:
        for running in list(cluster.workers["a"].running.values()):
            cluster.fail_training("a")
            cluster.report(cluster.workers["a"], running)
        cluster.act()
    nodes = look(cluster).values()
    trials = cluster.engine.state.studies[1].trials
    assert sorted(number for node in nodes for number in node.ending) == list(range(len(trials)))
    unborn = [node for node in nodes if node.stop == node.start]
    assert unborn
    for node in unborn:
        assert {(each.step, each.state) for each in node.ends} == {(node.start, "failed")}
    assert "╳" in to_text(TreeShape(nodes), 80)


@pytest.mark.parametrize("seed", range(4))
def test_a_part_is_what_most_trials_go_through_and_what_is_folded_is_counted(seed: int) -> None:
    """1. It hangs on its roots. 2. Drawn and folded are all. 3. What runs is drawn, and else nothing smaller than what
    is left out. 4. Below a node the same. 5. Gathered in parts, it is the same.
    """
    cluster = Cluster(seed, {"a": 2})
    submit(cluster, spec())
    moments = 0
    while cluster.engine.state.active:
        cluster.act()
        moments += 1
        if moments % 40 and cluster.engine.state.active:
            continue
        nodes = look(cluster)
        survey, parts = TreeSurvey("default", "study"), 1
        while survey.go_on(cluster.engine, 5):
            parts += 1
        assert parts > 1
        assert tree_nodes(cluster.engine, survey, survey.traffic) == tuple(nodes.values())
        roots = [node for node in nodes.values() if node.parent is None]
        for root in (None, roots[-1].node):
            within = {number: node for number, node in nodes.items() if root in (None, *_up(nodes, node))}
            running = {
                each
                for node in within.values()
                if node.state is NodeState.RUNNING
                for each in _up(nodes, node)
            } & set(within)
            for limit in (1, 4, 11, len(nodes)):
                drawn, folded = survey.largest(cluster.engine, limit, root)
                assert running <= drawn <= set(within)
                assert all(nodes[each].parent in {None, *drawn} or each == root for each in drawn)
                hidden: dict[int, list[TreeNode]] = {}
                for node in within.values():
                    on = next((each for each in _up(nodes, node) if each in drawn), None)
                    if node.node not in drawn and on is not None:
                        hidden.setdefault(on, []).append(node)
                assert folded == {
                    on: Folded(len(gone), len({trial for node in gone for trial in node.trials}))
                    for on, gone in hidden.items()
                }
                edge = [node for node in within.values() if node.node not in drawn]
                edge = [node for node in edge if node.parent is None or node.parent in drawn]
                chosen = [len(nodes[each].trials) for each in drawn - running]
                assert all(len(node.trials) <= min(chosen) for node in edge if chosen)
                assert len(drawn) == min(max(limit, len(running)), len(within))


def _up(nodes: dict[int, TreeNode], node: TreeNode) -> list[int]:
    """A node and those above it."""
    above = [] if node.parent is None else _up(nodes, nodes[node.parent])
    return [node.node, *above]
