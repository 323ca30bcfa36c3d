"""The stage tree: the stages still to run, kept by change.

Theory of operation. For every node with something to do, an *outlook* says which states of it are needed and not on
their way, in *ranges*: a range begins at a state that exists or is promised (its *base*, the nearest one below the
states that it leads to) or at the node's start, and is cut into stages at each needed state. A state is needed by an
open request of a running study, or by a child whose own range begins at its start. What a lease in flight reaches, or
has promised to save, is on its way. A state that a lease in flight will reach and nobody has asked it to save is to be
*offered* to it; so is the state at which it leaves a node in which others go on. What lies beyond waits for the answer.
States at which somebody may come to part or fork are needed by nobody, but saved by whatever path comes by.

A range's ``remaining`` is the longest way from its base down to a leaf, and what is ``ahead`` of it is what policies
are sure to ask for beyond; the ready range with the longest of both is leased first, after priority (critical path
first; Hu 1961, level algorithm), and with it the whole path. Both are kept in steps of the mean duration, and told in
seconds: where the mean moves, only nodes whose own duration is known are weighed anew. Of ways that are equally long a
path takes the one on which most other paths must begin one after the other, each of which has to be made ready and to
load. Where several users wait, each has an order of ready ranges of its own, those that lead to states that its studies
need, and a path goes down to one of these.

A change marks nodes; ``refresh`` computes marked nodes anew, a parent after its children, and goes on to the parent
only where what the parent sees has changed. The cost is that of what changed, not of the tree. Most nodes are untouched
and look like one of a few others, so that their outlooks are kept by what they follow from.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from hippo_core.few_children import MOST
from hippo_core.lease import Lease, State
from hippo_core.noted_states import NotedStates
from hippo_core.outlook_looking import look
from hippo_core.outlook_making import EMPTY
from hippo_core.plan import Node, Plan
from hippo_core.ready_order import Entry, ReadyOrder
from hippo_core.ready_ranges import ReadyRanges
from hippo_core.stage_ranges import (
    Candidate,
    Outlook,
    Range,
    Start,
    Users,
    count_at,
    kinds_at,
    note,
    starts_at,
)
from hippo_core.step_costs import StepCosts


class StageTree:
    """The stages still to run of one plan.

    Args:
        plan: The plan.
        active: Running studies and their priorities; shared with the engine, which calls ``mark`` after a change.
        owners: The users of running studies; shared likewise.
    """

    __slots__ = (
        "_arrived",
        "_boundaries",
        "_crowds",
        "_dirty",
        "_weighed",
        "_work",
        "active",
        "astir",
        "blocked",
        "costs",
        "leases",
        "offers",
        "owners",
        "partings",
        "plan",
        "range_count",
        "ready_ranges",
    )

    def __init__(self, plan: Plan, active: Mapping[int, int], owners: Mapping[int, str]) -> None:
        self.plan = plan
        self.active = active
        self.owners = owners
        self.leases: dict[int, dict[int, Lease]] = {}  # by node, then fence: live ones
        self.blocked: set[int] = set()
        self.costs = StepCosts()
        self.astir: dict[
            int, None
        ] = {}  # nodes of which other states are wanted than when leases were looked at
        self.offers: dict[int, None] = {}  # nodes whose outlook has offers
        self.partings: NotedStates[tuple[int, int]] = NotedStates()  # for trials of studies
        self.ready_ranges = ReadyRanges(self.blocked)
        self.range_count = 0
        self._arrived: dict[int, None] = {}  # nodes whose start was saved, or is there no more
        self._boundaries: NotedStates[int] = NotedStates()  # for studies
        self._crowds: dict[int, list[Start]] = {}  # by node of more than a few children: see ``_starts``
        self._dirty: dict[int, None] = {}
        self._weighed: dict[int, None] = {}  # nodes with ranges whose steps' own duration is known
        self._work = 0.0

    # What happened

    def mark(self, node: int) -> None:
        """The node's requests, checkpoints, promises or leases changed."""
        self._dirty[node] = None

    def mark_state(self, node: int, step: int) -> None:
        """A checkpoint at a state came or went: those that start from it are ready, or are no more."""
        self._dirty[node] = None
        self._arrived.update(
            (each.node, None) for each in starts_at(self.starts(self.plan.numbered[node]), step)
        )

    def add_lease(self, lease: Lease) -> None:
        """A lease began."""
        for number, _, _ in lease.stages:
            holders = self.leases.setdefault(number, {})
            holders[lease.fence] = lease
            if next(reversed(holders)) < max(holders):  # one that was taken back
                self.leases[number] = dict(sorted(holders.items()))
        self.mark_lease(lease)

    def remove_lease(self, lease: Lease) -> None:
        """A lease ended."""
        for number, _, _ in lease.stages:
            holders = self.leases.get(number, {})
            holders.pop(lease.fence, None)
            if not holders:
                self.leases.pop(number, None)
        self.mark_lease(lease)

    def mark_lease(self, lease: Lease) -> None:
        """A lease changed in what it reaches or promises."""
        for number, _, _ in lease.stages:
            self._dirty[number] = None

    def add_parting(self, state: State, trial: tuple[int, int]) -> None:
        """A trial that may be trained further goes through a node up to a state, to be saved where a path comes by."""
        self.partings.add(state, trial)
        self._dirty[state[0]] = None

    def remove_parting(self, state: State, trial: tuple[int, int]) -> None:
        """A trial does so no more."""
        self.partings.remove(state, trial)

    def add_boundary(self, state: State, study: int) -> None:
        """A study's trials may come to be forked at a state, to be saved where a path comes by."""
        self._boundaries.add(state, study)
        self._dirty[state[0]] = None

    def remove_boundary(self, state: State, study: int) -> None:
        """The study is gone."""
        self._boundaries.remove(state, study)

    def measure(self, seconds: float, steps: int) -> None:
        """Training took so long; where the mean has moved far, what is known of single nodes is weighed anew."""
        if self.costs.measure(seconds, steps):
            self._dirty.update(self._weighed)

    @property
    def work(self) -> float:
        """Estimated slot seconds of all ranges."""
        return self._work * self.costs.unit

    # What follows

    def refresh(self, now: float) -> None:
        """Computes what is marked, and what depends on it.

        Args:
            now: The engine's time, in seconds: of what is ready from here on it is told since when that is so.
        """
        nodes = self.plan.numbered
        waiting, self._dirty = self._dirty, {}
        marked = sorted(filter(nodes.__contains__, waiting))  # a parent's number is lower than its children's
        parents: list[int] = []  # that were not marked, negative: a heap
        while marked or parents:
            unmarked = parents and (not marked or -parents[0] > marked[-1])
            number = -heapq.heappop(parents) if unmarked else marked.pop()
            node = nodes[number]
            if self._recompute(node, now) and node.parent is not None and node.parent.id not in waiting:
                waiting[node.parent.id] = None
                heapq.heappush(parents, -node.parent.id)
        for number in self._arrived:
            outlook = nodes[number].outlook
            if outlook is not None:
                self._order_ready(nodes[number], outlook, now)
        self._arrived.clear()

    def best(self, user: str | None = None) -> Candidate | None:
        """The ready range of the highest priority and, among those, the longest remaining path; a user's, or of all."""
        entry = self._order_of(user).first()
        return None if entry is None else self._candidate(entry)

    def ready_at(self, place: int, user: str | None = None) -> Candidate | None:
        """The ready range at a place, from 1, in the order in which they are leased; None: there are fewer."""
        return next(self.ready_from(place, user), None)

    def first_ready(self, count: int, user: str | None = None) -> list[Candidate]:
        """The first so many ready ranges in the order in which they are leased."""
        return list(islice(self.ready_from(1, user), count))

    def ready_from(self, place: int, user: str | None = None) -> Iterator[Candidate]:
        """The ready ranges from a place on, from 1, in the order in which they are leased, as the tree is now."""
        return map(self._candidate, islice(self._order_of(user).in_order(), place - 1, None))

    def _order_of(self, user: str | None) -> ReadyOrder:
        return self.ready_ranges.order_of(user, self._all_ready)

    def _all_ready(self) -> Iterator[tuple[int, Range]]:
        for node, found in self.steps_to_run():
            if self.ready(node, found):
                yield node.id, found

    def _candidate(self, entry: Entry) -> Candidate:
        _, _, number, base, _ = entry
        return self._told(number, self.range_at(number, base))

    def _told(self, number: int, found: Range | Start) -> Candidate:
        unit = self.costs.unit
        return Candidate(found.priority, found.remaining * unit, found.ahead * unit, number, found.base)

    def range_at(self, number: int, base: int) -> Range:
        """The range of a node that begins at a state."""
        return next(found for found in self.outlook_of(number).ranges if found.base == base)

    def users_of(self, candidate: Candidate) -> Users:
        """Who needs what a range leads to."""
        return self.range_at(candidate.node, candidate.base).users

    def continuations(self, state: State, *, every: bool = False) -> Iterator[Candidate]:
        """The ranges that begin at a state, whether or not it is saved already.

        Args:
            state: A node, and a step of it.
            every: Of ranges of one kind all, and not only the first.
        """
        number, step = state
        node = self.plan.numbered[number]
        if step > node.start and number not in self.blocked:
            ranges = self.outlook_of(number).ranges
            yield from (self._told(number, found) for found in ranges if found.base == step)
        if self.blocked or every:
            free = [start for start in starts_at(self.starts(node), step) if start.node not in self.blocked]
        else:
            free = [start for start, _ in kinds_at(self.starts(node), step)]
        for found in sorted(free, key=lambda each: each.node):
            yield self._told(found.node, found)

    def count_from(self, state: State) -> int:
        """How many ranges begin at a state, whether or not it is saved; those that are blocked are left out."""
        number, step = state
        node, blocked = self.plan.numbered[number], self.blocked
        ranges, count = self.outlook_of(number).ranges, 0
        if ranges and number not in blocked and step > node.start:
            count = sum(found.base == step for found in ranges)
        starts = self.starts(node)
        if blocked:
            return count + sum(found.node not in blocked for found in starts_at(starts, step))
        return count + count_at(starts, step)

    def ready(self, node: Node, found: Range) -> bool:
        """Whether the state that a range begins at is durable."""
        if found.base > node.start:
            return found.base in node.checkpoints
        return node.start == 0 or (node.parent is not None and node.start in node.parent.checkpoints)

    def starts_at(self, number: int, step: int) -> bool:
        """Whether any stage still to run starts from that state."""
        return any(self.continuations((number, step)))

    def is_noted(self, node: Node) -> bool:
        """Whether somebody may come to part from others in a node, or to fork there."""
        return node.id in self.partings or node.id in self._boundaries

    def needed_beyond(self, node: Node, step: int) -> bool:
        """Whether any running study needs a state above ``step`` of the node or of what hangs below it there."""
        wanted = self.outlook_of(node.id).wanted
        return bool(wanted) and wanted[-1] > step

    def steps_to_run(self) -> Iterator[tuple[Node, Range]]:
        """All ranges, ready or not."""
        for node, outlook in self.outlooks():
            for found in outlook.ranges:
                yield node, found

    def outlooks(self) -> Iterator[tuple[Node, Outlook]]:
        """The nodes of which something is needed, each with what it is."""
        for node in self.plan.nodes:
            outlook = node.outlook
            if outlook is not None:
                yield node, outlook

    def steps_left(self, study: int) -> int:
        """How many steps in ranges, ready or not, lie where a study has open requests."""
        return sum(found.steps for node, found in self.steps_to_run() if study in node.open)

    def outlook_of(self, number: int) -> Outlook:
        """What is needed of a node, and not on its way."""
        return self.plan.numbered[number].outlook or EMPTY

    def steps_ahead(self, node: Node, point: int) -> int:
        """How many steps running studies that wait for a state are sure to ask for beyond it."""
        waiting = node.requests.get(point)
        if not waiting:
            return 0
        return max([steps for (study, _), steps in waiting.items() if study in self.active], default=0)

    def seconds_ahead(self, node: Node, point: int) -> float:
        """What running studies that wait for a state are sure to ask for beyond it."""
        return self.steps_ahead(node, point) * self.costs.seconds_of(node)

    def requested(self, node: Node, step: int) -> bool:
        """Whether a running study asks for a state."""
        return any(study in self.active for study, _ in node.requests.get(step, ()))

    def parted(self, node: Node) -> Sequence[int]:
        """States of a node at which somebody of a running study may come to part from others, or to fork."""
        if not self.is_noted(node):
            return ()
        active = self.active
        found = list(self.partings.steps(node.id, lambda trial: trial[0] in active))
        forked = self._boundaries.steps(node.id, lambda study: study in active)
        return found + [step for step in forked if step not in found]

    def starts(self, node: Node) -> Sequence[Start]:
        """The ranges in which children begin, of those that need the state that they start from; in order.

        Of a few children they are looked up; of more they are kept, from the first time on that they are asked for.
        """
        children = node.children
        if not children:
            return ()
        if len(children) <= MOST:
            return self._looked_up(node)
        crowd = self._crowds.get(node.id)
        if crowd is None:
            crowd = self._crowds[node.id] = self._looked_up(node)
        return crowd

    # Within

    def _looked_up(self, node: Node) -> list[Start]:
        starts = []
        for child in node.offspring():
            outlook = child.outlook
            found = None if outlook is None else outlook.from_start(child)
            if found is not None:
                starts.append(Start.of(found, child.id))
        starts.sort()
        return starts

    def _recompute(self, node: Node, now: float) -> bool:
        """Computes a node's outlook; tells whether its parent sees a change."""
        number = node.id
        if self._arrived:
            self._arrived.pop(number, None)
        before, outlook = node.outlook or EMPTY, look(self, node)
        if number in self.leases:
            for lease in self.leases[number].values():
                lease.followers = None
            if outlook.wanted != before.wanted:
                self.astir[number] = None
        self._work += outlook.work - before.work
        self.range_count += len(outlook.ranges) - len(before.ranges)
        node.outlook = outlook if outlook.wanted or outlook.offers else None
        if outlook.offers or before.offers:
            _list(self.offers, number, there=bool(outlook.offers))
        if node.steps:
            _list(self._weighed, number, there=bool(outlook.ranges))
        self._order_ready(node, outlook, now)
        start, later = before.from_start(node), outlook.from_start(node)
        if later == start and bool(outlook.wanted) == bool(before.wanted):
            return False
        crowd = None if node.parent is None else self._crowds.get(node.parent.id)
        if crowd is not None and later != start:
            note(crowd, number, start, later)
        return True

    def _order_ready(self, node: Node, outlook: Outlook, now: float) -> None:
        """Puts a node's ready ranges in their place among the others."""
        ready = [found for found in outlook.ranges if self.ready(node, found)]
        if ready or node.id in self.ready_ranges.counts:
            self.ready_ranges.put(node.id, ready, now)


def _list(listed: dict[int, None], number: int, *, there: bool) -> None:
    """Lists a number, or does so no more."""
    if there:
        listed[number] = None
    else:
        listed.pop(number, None)
