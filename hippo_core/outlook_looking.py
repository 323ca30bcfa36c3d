"""The outlook of a node: what is wanted of it, and what of that nobody brings, as its stage tree is now."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hippo_core.few_children import Few
from hippo_core.lease import Lease
from hippo_core.outlook_making import EMPTY, Asked, once, outlook_of_few, outlook_of_one, range_up_to
from hippo_core.plan import Node
from hippo_core.sole import SoleRequest
from hippo_core.stage_ranges import Outlook, Range, Start, bases

if TYPE_CHECKING:
    from hippo_core.tree import StageTree

NO_REQUESTS: Mapping[tuple[int, int], int] = {}


def look(tree: StageTree, node: Node) -> Outlook:
    """Computes what is wanted of a node, and what of it nobody brings."""
    requests, children = node.requests, node.children
    if not (node.steps or node.checkpoints or node.id in tree.leases):  # as nearly everywhere
        if type(children) is Few:  # isinstance takes long of a Mapping
            if not requests:
                return outlook_of_few(node.start, children.nodes)
        elif type(requests) is SoleRequest and not children:
            return _of_one(tree, node.start, requests)
    starts = tree.starts(node)
    wanted = {step for step in node.requests if tree.requested(node, step)}
    if starts:
        wanted |= bases(starts)
    points = once(tuple(sorted(wanted)))
    leases = tree.leases.get(node.id)
    if leases is None and not node.checkpoints:  # nothing of it is there, or comes
        if not points:
            return EMPTY
        cost = tree.costs.units_of(node)
        found = _range(tree, node, starts, node.start, points, cost)
        outlook: Outlook = once(Outlook((found,), (), points, cost * found.steps))
        return outlook
    return _look_beyond(tree, node, starts, list(leases.values()) if leases else [], points)


def _of_one(tree: StageTree, start: int, sole: SoleRequest) -> Outlook:
    """That of a node where nothing is there, comes or is known, and of which one request alone wants something."""
    priority = tree.active.get(sole.study)
    if priority is None:
        return EMPTY
    found: Outlook = outlook_of_one(start, sole.step, sole.beyond, priority, tree.owners[sole.study])
    return found


def _look_beyond(
    tree: StageTree, node: Node, starts: Sequence[Start], leases: list[Lease], wanted: tuple[int, ...]
) -> Outlook:
    """Computes what is wanted beyond what is there, or on its way."""
    parted = tree.parted(node)
    needy = bases(starts)
    offers: dict[tuple[int, int], None] = {}
    uncovered = [
        point
        for point in wanted
        if (point not in node.checkpoints or point in node.requests)
        and not (leases and _is_coming(tree, node, point, leases, offers, needed=point in needy))
    ]
    if leases and (uncovered or parted):
        beyond = max(0, *uncovered[-1:], *parted)
        # What lies beyond where a path leaves the node goes on from there.
        leaving = [stop for lease in leases if (stop := lease.leaves(node.id)) < beyond]
        for point in (*parted, *leaving):
            if point not in wanted and point not in node.checkpoints:
                _offer(node, point, leases, offers)
    ranges = _ranges(tree, node, starts, tuple(uncovered), leases) if uncovered else ()
    work = tree.costs.units_of(node) * sum([found.steps for found in ranges])
    outlook: Outlook = once(Outlook(ranges, tuple(offers), wanted, work))
    return outlook


def _is_coming(
    tree: StageTree,
    node: Node,
    point: int,
    leases: list[Lease],
    offers: dict[tuple[int, int], None],
    *,
    needed: bool,
) -> bool:
    """Whether a state is on its way; offers it to a path that will reach it, and has not been asked to save it."""
    state = node.id, point
    if any(lease.promises_state(state) for lease in leases):
        return True
    carrier = _offer(node, point, leases, offers)
    if carrier is None:
        return False
    return state not in carrier.promises or not needed


def _ranges(
    tree: StageTree, node: Node, starts: Sequence[Start], points: tuple[int, ...], leases: list[Lease]
) -> tuple[Range, ...]:
    states = {node.start, *node.checkpoints}
    for lease in leases:
        states.update(
            step
            for number, step in lease.promises
            if number == node.id and lease.promises_state((number, step))
        )
    below = sorted(states)
    cost = tree.costs.units_of(node)
    ranges, first = [], 0
    for base, above in zip(below, [*below[1:], points[-1]], strict=True):
        last = bisect_right(points, above, first)
        if last > first:
            ranges.append(_range(tree, node, starts, base, points[first:last], cost))
            first = last
    return tuple(ranges)


def _range(
    tree: StageTree, node: Node, starts: Sequence[Start], base: int, points: tuple[int, ...], cost: float
) -> Range:
    asked: dict[int, Asked] = {}
    for point in points:
        running = [
            (tree.active[study], tree.owners[study], steps)
            for (study, _), steps in node.requests.get(point, NO_REQUESTS).items()
            if study in tree.active
        ]
        if running:
            asked[point] = running
    return range_up_to(starts, base, points, cost, asked)


def _offer(node: Node, point: int, leases: list[Lease], offers: dict[tuple[int, int], None]) -> Lease | None:
    """The path that will reach a state, which is offered to it where it has not been asked to save it."""
    carrier = next((lease for lease in leases if lease.will_reach(node.id, point)), None)
    if carrier is not None and (node.id, point) not in carrier.promises:
        offers[carrier.fence, point] = None
    return carrier
