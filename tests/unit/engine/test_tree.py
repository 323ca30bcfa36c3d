"""The stage tree: kept by change it equals one built anew, and its paths are the longest."""

from __future__ import annotations

from dataclasses import dataclass, field
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import tree as trees
from hippo_core.few_children import MOST
from hippo_core.formulas import Constant
from hippo_core.laws import make
from hippo_core.lease import Lease, Promise
from hippo_core.longest_paths import longest_path
from hippo_core.plan import Checkpoint, Node, Plan
from hippo_core.sequence import Sequence
from hippo_core.stage_ranges import Range
from hippo_core.tree import StageTree
from hippo_core.values import Kind

STEPS = 6


def sequence(values: list[int]) -> Sequence:
    """A sequence that has these values, and the last one for ever."""
    stretches = []
    for step, value in enumerate(values):
        if step == 0 or value != values[step - 1]:
            stretches.append((step, make(Constant(float(value)), 0, False, Kind.FLOAT)))
    return Sequence({"lr": stretches})


paths = st.lists(st.lists(st.integers(0, 2), min_size=STEPS, max_size=STEPS), min_size=1, max_size=8)


@given(paths)
def test_the_trie_has_one_step_for_each_distinct_prefix(found: list[list[int]]) -> None:
    plan = Plan(1)
    extents: dict[int, int] = {}
    for values in found:
        leaf = plan.insert(sequence(values), STEPS)
        stop = STEPS
        for node in leaf.ancestry():
            extents[node.id] = max(extents.get(node.id, 0), stop)
            stop = node.start
    distinct = {tuple(values[: length + 1]) for values in found for length in range(STEPS)}
    assert sum(extents[node.id] - node.start for node in plan.nodes) == len(distinct)


@given(paths, st.integers(1, STEPS))
def test_a_walk_may_begin_at_any_node_of_the_path(found: list[list[int]], stop: int) -> None:
    plan = Plan(1)
    for values in found:
        plan.insert(sequence(values), STEPS)
    for values in found:
        leaf = plan.locate(sequence(values), STEPS).node
        assert leaf is not None
        for node in leaf.path():
            assert plan.locate(sequence(values), STEPS, node).node is leaf
        assert plan.locate(sequence(values), stop).node is leaf.owner(stop)


@dataclass
class World:
    """A plan with a tree that is kept by change."""

    plan: Plan
    tree: StageTree
    leaves: list[Node]
    fences: int = 0
    leases: list[Lease] | None = None
    measured: list[tuple[float, int]] = field(default_factory=list)


def request(world: World, index: int, step: int) -> None:
    node = world.leaves[index % len(world.leaves)].owner(step)
    if (1, index) not in node.requests.get(step, {}):
        node.ask(step, 1, index, 0)
    world.tree.mark(node.id)


def withdraw(world: World, index: int, step: int) -> None:
    node = world.leaves[index % len(world.leaves)].owner(step)
    if (1, index) in node.requests.get(step, {}):
        node.ask_no_more(step, 1, index)
    world.tree.mark(node.id)


def save(world: World, index: int, step: int) -> None:
    node = world.leaves[index % len(world.leaves)].owner(step)
    node.keep(step, Checkpoint(fence=0, size_bytes=1, digest=""))
    world.tree.mark_state(node.id, step)


def lose(world: World, index: int, step: int) -> None:
    node = world.leaves[index % len(world.leaves)].owner(step)
    if node.let_go(step, 0) is not None:
        world.tree.mark_state(node.id, step)


def lease(world: World, index: int, step: int) -> None:
    world.tree.refresh(0.0)
    best = world.tree.best()
    if best is None:
        return
    path = longest_path(world.tree, best.node, best.base)
    world.fences += 1
    granted = Lease(
        fence=world.fences,
        worker="w",
        incarnation="1",
        slot=0,
        plan=1,
        study=1,
        user="ada",
        stages=path.stages,
        start=None,
        in_memory=False,
        promises=dict.fromkeys(path.save_points, Promise.GRANTED),
    )
    assert world.leases is not None
    world.leases.append(granted)
    world.tree.add_lease(granted)


def end_lease(world: World, index: int, step: int) -> None:
    if world.leases:
        world.tree.remove_lease(world.leases.pop(index % len(world.leases)))


def train(world: World, index: int, step: int) -> None:
    """Steps of a node were trained, the later ones more slowly."""
    node = world.leaves[index % len(world.leaves)].owner(step)
    seconds = 1.5**step
    node.seconds += seconds
    node.steps += 1
    world.measured.append((seconds, 1))
    world.tree.measure(seconds, 1)
    world.tree.mark(node.id)


CHANGES = (request, withdraw, save, lose, lease, end_lease)
changes = st.lists(
    st.tuples(st.sampled_from(CHANGES), st.integers(0, 7), st.integers(1, STEPS)), min_size=1, max_size=25
)
changes_and_training = st.lists(
    st.tuples(st.sampled_from((*CHANGES, train)), st.integers(0, 7), st.integers(1, STEPS)),
    min_size=1,
    max_size=25,
)


def world_of(found: list[list[int]]) -> World:
    plan = Plan(1)
    leaves = [plan.insert(sequence(values), STEPS) for values in found]
    return World(plan, StageTree(plan, {1: 0}, {1: "ada"}), leaves, leases=[])


@pytest.mark.parametrize("few", [0, 1, MOST])
@settings(max_examples=200)
@given(paths, changes_and_training)
def test_a_tree_kept_by_change_equals_one_built_anew(
    few: int, found: list[list[int]], made: list[tuple[object, int, int]]
) -> None:
    """Also where it has been weighed anew, as the mean duration of a step has moved; and wherever the ranges in which
    children begin are kept, for those of more than a few."""
    with patch.object(trees, "MOST", few):
        _expect_as_built_anew(found, made)


def _expect_as_built_anew(found: list[list[int]], made: list[tuple[object, int, int]]) -> None:
    world = world_of(found)
    for change, index, step in made:
        assert callable(change)
        change(world, index, step)
        world.tree.refresh(0.0)
        kept = {node.id: node.outlook for node in world.plan.nodes}
        for node in world.plan.nodes:
            node.outlook = None
        anew = StageTree(world.plan, {1: 0}, {1: "ada"})
        for each in world.leases or []:
            anew.add_lease(each)
        for seconds, steps in world.measured:
            anew.measure(seconds, steps)
        for number in world.plan.numbered:
            anew.mark(number)
        anew.refresh(0.0)
        assert kept == {node.id: node.outlook for node in world.plan.nodes}
        assert world.tree.best() == anew.best()


@given(
    st.integers(0, STEPS - 1),
    st.integers(1, STEPS),
    st.integers(0, 9),
    st.integers(-1, 2),
    st.booleans(),
    st.booleans(),
)
def test_a_request_alone_is_looked_at_as_one_of_several(
    start: int, length: int, beyond: int, priority: int, running: bool, trained: bool
) -> None:
    """1. A node is asked for one state, by a study that runs or does not. Its steps have been trained before, and those
    of the node that it begins in, or not; nothing was saved. 2. What follows is what follows where its requests are
    kept as those of a node of several are. 3. The work is that of all steps, at what they are known to take."""
    plan = Plan(1)
    parent = plan.add(1, None, 0, sequence([0]).laws(0)) if start else None
    node = plan.add(2, parent, start, sequence([1]).laws(0))
    node.ask(start + length, 1, 7, beyond)
    for each in plan.nodes if trained else ():
        each.steps, each.seconds = 2, 3.0 * each.id
    found = []
    for requests in (node.requests, {step: dict(waiting) for step, waiting in node.requests.items()}):
        for each in plan.nodes:
            each.outlook = None
        node.requests = requests
        tree = StageTree(plan, {1: priority} if running else {}, {1: "ada"})
        tree.measure(1.0, 1)
        tree.mark(node.id)
        tree.refresh(0.0)
        steps = {node.id: length} | ({} if parent is None else {parent.id: start})
        work = sum(tree.costs.seconds_of(plan.numbered[number]) * count for number, count in steps.items())
        assert tree.work == (work if running else 0.0)
        found.append((node.outlook, tree.best(), tree.work, tree.range_count))
    assert found[0] == found[1]
    assert (found[0][0] is not None) == running


@settings(max_examples=300)
@given(paths, changes)
def test_leasing_until_nothing_is_left_covers_every_request_once(
    found: list[list[int]], made: list[tuple[object, int, int]]
) -> None:
    """1. Requests are made and some states saved. 2. Ready paths are leased, trained and saved, until none is left.
    3. No step is in two leases, and each request lies on one."""
    world = world_of(found)
    for change, index, step in made:
        if change in (request, save):
            assert callable(change)
            change(world, index, step)
    wanted = {(node.id, step) for node in world.plan.nodes for step in node.requests}
    trained: set[tuple[int, int]] = set()
    world.tree.refresh(0.0)
    while (best := world.tree.best()) is not None:
        path = longest_path(world.tree, best.node, best.base)
        assert path_seconds(world, path.stages) == best.remaining
        lease(world, 0, 0)
        for number, start, stop in path.stages:
            steps = {(number, step) for step in range(start, stop)}
            assert not steps & trained
            trained |= steps
        done = (world.leases or []).pop()
        world.tree.remove_lease(done)
        for number, step in path.save_points:
            node = world.plan.numbered[number]
            node.keep(step, Checkpoint(fence=0, size_bytes=1, digest=""))
            world.tree.mark_state(number, step)
        for number, start, stop in path.stages:
            node = world.plan.numbered[number]
            for step in [each for each in node.requests if start < each <= stop]:
                for study, trial in list(node.requests[step]):
                    node.ask_no_more(step, study, trial)
            world.tree.mark(number)
        world.tree.refresh(0.0)
    assert not list(world.tree.outlooks())
    left = {(node.id, step) for node in world.plan.nodes for step in node.requests}
    assert not left
    for number, step in wanted:
        assert (number, step - 1) in trained


def path_seconds(world: World, stages: tuple[tuple[int, int, int], ...]) -> float:
    return sum(
        (stop - start) * world.tree.costs.seconds_of(world.plan.numbered[number])
        for number, start, stop in stages
    )


@settings(max_examples=300)
@given(paths, changes, st.lists(st.sampled_from(["ada", "bo"]), min_size=8, max_size=8))
def test_each_user_has_the_order_of_what_its_studies_need(
    found: list[list[int]], made: list[tuple[object, int, int]], whose: list[str]
) -> None:
    """1. Trials of two users share nodes. 2. Whatever changes, the first for a user is the longest of the ranges that
    lead to a state that it needs. 3. Its path ends at such a state."""
    plan = Plan(1)
    leaves = [plan.insert(sequence(values), STEPS) for values in found]
    studies = {"ada": 1, "bo": 2}
    owners = {number: user for user, number in studies.items()}
    tree = StageTree(plan, {1: 0, 2: 0}, owners)
    world = World(plan, tree, leaves, leases=[])
    for change, index, step in made:
        if change is request:
            node = leaves[index % len(leaves)].owner(step)
            if (studies[whose[index]], index) not in node.requests.get(step, {}):
                node.ask(step, studies[whose[index]], index, 0)
            tree.mark(node.id)
        elif change in (save, lose):
            assert callable(change)
            change(world, index, step)
        tree.refresh(0.0)
        for user in studies:
            ready = [
                (each, users)
                for node, outlook in tree.steps_to_run()
                if tree.ready(node, outlook)
                for each, users in [((node.id, outlook.base), needing(plan, tree, node, outlook, owners))]
            ]
            theirs = [each for each, users in ready if user in users]
            best = tree.best(user)
            assert (best is None) == (not theirs)
            if best is None:
                continue
            assert (best.node, best.base) in theirs
            longest = max(
                outlook.remaining + outlook.ahead
                for node, outlook in tree.steps_to_run()
                if (node.id, outlook.base) in theirs
            )
            assert best.length == longest
            number, _, stop = longest_path(tree, best.node, best.base, user).stages[-1]
            assert user in {owners[study] for study, _ in plan.numbered[number].requests[stop]}


def needing(plan: Plan, tree: StageTree, node: Node, found: Range, owners: dict[int, str]) -> set[str]:
    """Who needs a state that a range leads to, itself or through nodes that begin there: all looked at."""
    users = {owners[study] for point in found.points for study, _ in node.requests.get(point, {})}
    for child in plan.nodes:
        if child.parent is node and child.start in found.points and child.outlook is not None:
            start = child.outlook.from_start(child)
            if start is not None:
                users |= needing(plan, tree, child, start, owners)
    return users
