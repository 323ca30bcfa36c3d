"""Which path a slot takes from a ready range on: the longest one that is left, and what it saves on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hippo_core.lease import Stage, State
from hippo_core.plan import Node
from hippo_core.stage_ranges import Range, Start, Way, kinds_at, starts_at, starts_below

if TYPE_CHECKING:
    from hippo_core.tree import StageTree


@dataclass(frozen=True, slots=True)
class Path:
    """Consecutive stages from a base down to a leaf, and the states to save on the way."""

    stages: tuple[Stage, ...]
    save_points: tuple[State, ...]


def longest_path(tree: StageTree, number: int, base: int, user: str | None = None) -> Path:
    """The path from a base down to the leaf that is farthest away; to a user's, if one is named."""
    stages: list[Stage] = []
    save_points: list[State] = []
    node = tree.plan.numbered[number]
    while True:
        starts = tree.starts(node)
        found = tree.range_at(node.id, base)
        leave, child = _leaves(tree, node, starts, found, user)
        stages.append((node.id, base, leave))
        parted = tree.parted(node)
        wanted = {point for point in found.points if tree.requested(node, point) or starts_at(starts, point)}
        wanted.update(parted)
        save_points.extend((node.id, point) for point in sorted(wanted) if base < point < leave)
        if (
            child is None
            or len(starts_at(starts, leave)) > 1
            or max(parted, default=0) >= leave
            or leave < found.points[-1]
            or tree.requested(node, leave)
        ):
            save_points.append((node.id, leave))
        if child is None:
            return Path(tuple(stages), tuple(save_points))
        node, base = child, child.start


def _leaves(
    tree: StageTree, node: Node, starts: Sequence[Start], found: Range, user: str | None
) -> tuple[int, Node | None]:
    """Where the longest path leaves a range, and for which child; None: it ends there. A user's path, or any."""
    cost = tree.costs.units_of(node)
    points = found.points
    if user is not None:
        points = tuple(point for point in points if _leads_to(tree, node, starts, point, user))
    leave: tuple[int, Node | None] = (points[-1], None)
    on: Way | None = None  # beyond the point that is looked at, in the node
    for point in reversed(points):
        own = (point - found.base) * cost
        best = own + tree.steps_ahead(node, point) * cost, 0
        if on is None or best[0] > on[0]:
            leave = points[-1], None
        else:
            best = on
        ways: list[Way] = [] if on is None else [on]
        for start, count in sorted(kinds_at(starts, point), key=lambda each: each[0].node):
            if user is None or user in start.users:
                ways += [(own + start.remaining + start.ahead, start.starts)] * min(count, 2)
                if ways[-1] > best or (ways[-1] == best and leave[1] is None):
                    best, leave = ways[-1], (point, tree.plan.numbered[start.node])
        on = best[0], starts_below(ways)
    return leave


def _leads_to(tree: StageTree, node: Node, starts: Sequence[Start], point: int, user: str) -> bool:
    """Whether a user needs a state, or one below it."""
    if any(tree.owners.get(study) == user for study, _ in node.requests.get(point, ())):
        return True
    return any(user in start.users for start, _ in kinds_at(starts, point))
