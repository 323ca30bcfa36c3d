"""The stage tree: the stages still to run, kept by change.

Theory of operation. For every node with something to do, an *outlook* says which states of it are needed and not on
their way, in *ranges*: a range begins at a state that exists or is promised (its *base*, the nearest one below the
states that it leads to) or at the node's start, and is cut into stages at each needed state. A state is needed by an
open request of a running study, or by a child whose own range begins at its start. What a lease in flight reaches, or
has promised to save, is on its way. A state that a lease in flight will reach and nobody has asked it to save is to be
*offered* to it; so is the state at which it leaves a node in which others go on. What lies beyond waits for the answer.
States at which somebody may come to part or fork are needed by nobody, but saved by whatever path comes by.

A range's ``remaining`` is the longest way from its base down to a leaf, in estimated seconds, and what is ``ahead`` of
it is what policies are sure to ask for beyond; the ready range with the longest of both is leased first, after
priority (critical path first; Hu 1961, level algorithm), and with it the whole path. Where several users wait, each
has an order of ready ranges of its own, those that lead to states that its studies need, and a path goes down to one
of these.

A change marks nodes; ``refresh`` computes marked nodes anew, latest start first, and goes on to the parent only where
what the parent sees has changed. The cost is that of what changed, not of the tree.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hippo_core.lease import Lease, Stage, State
from hippo_core.plan import Node, Plan

UNMEASURED_STEP_SECONDS = 1.0
REWEIGH_RATIO = 1.25


@dataclass(frozen=True, slots=True)
class Range:
    """Needed states of one node that lie above one base."""

    base: int
    points: tuple[int, ...]
    priority: int
    remaining: float
    ahead: float  #: what is sure to be asked for beyond that way's end, in seconds
    users: frozenset[str]  #: who needs any of the states that it leads to


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is needed of a node and not on its way."""

    ranges: tuple[Range, ...]
    offers: tuple[tuple[int, int], ...]  #: (fence, step): states that a lease in flight ought to save
    wanted: tuple[int, ...]  #: all states needed of it, those on their way too, in order

    def from_start(self, node: Node) -> Range | None:
        """The range that begins at the node's start."""
        if self.ranges and self.ranges[0].base == node.start:
            return self.ranges[0]
        return None


EMPTY = Outlook((), (), ())
NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Path:
    """Consecutive stages from a base down to a leaf, and the states to save on the way."""

    stages: tuple[Stage, ...]
    save_points: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A range that may be leased, as the scheduler compares it."""

    priority: int
    remaining: float
    ahead: float
    node: int
    base: int

    @property
    def length(self) -> float:
        """The seconds by which it is compared with others."""
        return self.remaining + self.ahead


_Entry = tuple[int, float, int, int, int, float]
"""Of the heap: priority and length, both negative, node, base, the version of its outlook, seconds ahead."""


def _candidate(entry: _Entry) -> Candidate:
    priority, length, node, base, _, ahead = entry
    return Candidate(-priority, -length - ahead, ahead, node, base)


class StageTree:
    """The stages still to run of one plan.

    Args:
        plan: The plan.
        active: Running studies and their priorities; shared with the engine, which calls ``mark`` after a change.
        owners: The users of running studies; shared likewise.
    """

    __slots__ = (
        "_dirty",
        "_heap",
        "_needy",
        "_own",
        "_turns",
        "_users",
        "_versions",
        "_weight",
        "active",
        "astir",
        "blocked",
        "boundaries",
        "leases",
        "offers",
        "outlooks",
        "owners",
        "partings",
        "plan",
        "range_count",
        "ready_ranges",
        "seconds",
        "steps",
        "work",
    )

    def __init__(self, plan: Plan, active: Mapping[int, int], owners: Mapping[int, str]) -> None:
        self.plan = plan
        self.active = active
        self.owners = owners
        self.outlooks: dict[int, Outlook] = {}
        self.leases: dict[int, dict[int, Lease]] = {}  # by node, then fence: live ones
        self.blocked: set[int] = set()
        self.astir: dict[
            int, None
        ] = {}  # nodes of which other states are wanted than when leases were looked at
        self.offers: dict[int, None] = {}  # nodes whose outlook has offers
        self.partings: dict[
            int, dict[int, dict[tuple[int, int], None]]
        ] = {}  # by node and step: (study, trial)
        self.boundaries: dict[int, dict[int, dict[int, None]]] = {}  # by node and step: studies
        self.ready_ranges: dict[int, int] = {}  # by node, where there are any
        self.range_count = 0
        self.seconds = 0.0
        self.steps = 0
        self.work = 0.0
        self._own: dict[int, float] = {}
        self._needy: dict[
            int, dict[int, dict[int, None]]
        ] = {}  # by node and start: children that need that state
        self._dirty: dict[int, None] = {}
        self._heap: list[_Entry] = []
        self._turns: dict[str, list[_Entry]] | None = None  # by user; None: nobody has asked yet
        self._users: dict[frozenset[str], frozenset[str]] = {}  # each once
        self._versions: dict[int, int] = {}
        self._weight = 0.0

    # What happened

    def mark(self, node: int) -> None:
        """The node's requests, checkpoints, promises or leases changed."""
        self._dirty[node] = None

    def mark_state(self, node: int, step: int) -> None:
        """A checkpoint or promise at a state came or went: those that start from it see it too."""
        self._dirty[node] = None
        for child in self._needy.get(node, {}).get(step, {}):
            self._dirty[child] = None

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
        for number, step in lease.promises:
            self.mark_state(number, step)

    def add_parting(self, state: State, trial: tuple[int, int]) -> None:
        """A trial that may be trained further goes through a node up to a state, to be saved where a path comes by."""
        number, step = state
        self.partings.setdefault(number, {}).setdefault(step, {})[trial] = None
        self._dirty[number] = None

    def remove_parting(self, state: State, trial: tuple[int, int]) -> None:
        """A trial does so no more."""
        number, step = state
        at = self.partings[number]
        del at[step][trial]
        if not at[step]:
            del at[step]
        if not at:
            del self.partings[number]

    def add_boundary(self, state: State, study: int) -> None:
        """A study's trials may come to be forked at a state, to be saved where a path comes by."""
        number, step = state
        self.boundaries.setdefault(number, {}).setdefault(step, {})[study] = None
        self._dirty[number] = None

    def remove_boundary(self, state: State, study: int) -> None:
        """The study is gone."""
        number, step = state
        at = self.boundaries[number]
        del at[step][study]
        if not at[step]:
            del at[step]
        if not at:
            del self.boundaries[number]

    def measure(self, seconds: float, steps: int) -> None:
        """Training took so long; weighs the tree anew where the mean has moved far."""
        self.seconds += seconds
        self.steps += steps
        mean = self.mean_step_seconds()
        if not self._weight / REWEIGH_RATIO <= mean <= self._weight * REWEIGH_RATIO:
            self._weight = mean
            self._dirty.update(dict.fromkeys(self.outlooks))

    def mean_step_seconds(self) -> float:
        """Measured slot seconds of one step, or a constant while nothing is measured."""
        return self.seconds / self.steps if self.steps and self.seconds > 0 else UNMEASURED_STEP_SECONDS

    def step_seconds(self, node: Node) -> float:
        """Estimated slot seconds of one step of a node."""
        if node.steps and node.seconds > 0:
            return node.seconds / node.steps
        return self._weight or UNMEASURED_STEP_SECONDS

    # What follows

    def refresh(self) -> None:
        """Computes what is marked, and what depends on it."""
        queue = [
            (-self.plan.nodes[number].start, number) for number in self._dirty if number in self.plan.nodes
        ]
        heapq.heapify(queue)
        self._dirty.clear()
        queued = {number for _, number in queue}
        while queue:
            _, number = heapq.heappop(queue)
            queued.discard(number)
            node = self.plan.nodes[number]
            if self._recompute(node) and node.parent is not None and node.parent.id not in queued:
                queued.add(node.parent.id)
                heapq.heappush(queue, (-node.parent.start, node.parent.id))

    def best(self, user: str | None = None) -> Candidate | None:
        """The ready range of the highest priority and, among those, the longest remaining path; a user's, or of all."""
        heap = self._heap_of(user)
        while heap:
            entry = heap[0]
            if self._stands(entry):
                return _candidate(entry)
            heapq.heappop(heap)
        return None

    def ready_at(self, place: int, user: str | None = None) -> Candidate | None:
        """The ready range at a place, from 1, in the order in which they are leased; None: there are fewer."""
        found = self.first_ready(place, user)
        return found[-1] if len(found) == place else None

    def first_ready(self, count: int, user: str | None = None) -> list[Candidate]:
        """The first so many ready ranges in the order in which they are leased."""
        heap = self._heap_of(user)
        taken: list[_Entry] = []
        while heap and len(taken) < count:
            entry = heapq.heappop(heap)
            if self._stands(entry):
                taken.append(entry)
        for entry in taken:
            heapq.heappush(heap, entry)
        return [_candidate(entry) for entry in taken]

    def _heap_of(self, user: str | None) -> list[_Entry]:
        """The order of a user's ranges, kept from the first time on that somebody asks for one; or that of all."""
        if user is None:
            return self._heap
        if self._turns is None:
            self._turns = {}
            for node, found in self.steps_to_run():
                if self.ready(node, found):
                    self._push(node, found)
        return self._turns.setdefault(user, [])

    def users_of(self, candidate: Candidate) -> frozenset[str]:
        """Who needs what a range leads to."""
        ranges = self.outlooks[candidate.node].ranges
        return next(found.users for found in ranges if found.base == candidate.base)

    def _stands(self, entry: _Entry) -> bool:
        return self._versions.get(entry[2]) == entry[4] and entry[2] not in self.blocked

    def continuations(self, state: State) -> Iterator[Candidate]:
        """The ranges that begin at a state, whether or not it is saved already."""
        number, step = state
        needy = self._needy.get(number)
        for start in (number, *(needy.get(step, ()) if needy is not None else ())):
            outlook = self.outlooks.get(start)
            if outlook is None or start in self.blocked:
                continue
            for found in outlook.ranges:
                if found.base == step and (start != number or found.base > self.plan.nodes[start].start):
                    yield Candidate(found.priority, found.remaining, found.ahead, start, found.base)

    def ready(self, node: Node, found: Range) -> bool:
        """Whether the state that a range begins at is durable."""
        if found.base > node.start:
            return found.base in node.checkpoints
        return node.start == 0 or (node.parent is not None and node.start in node.parent.checkpoints)

    def path(self, number: int, base: int, user: str | None = None) -> Path:
        """The path from a base down to the leaf that is farthest away; to a user's, if one is named."""
        stages: list[Stage] = []
        save_points: list[State] = []
        node = self.plan.nodes[number]
        while True:
            found = next(each for each in self.outlooks[node.id].ranges if each.base == base)
            leave, child = self._longest(node, found, user)
            stages.append((node.id, base, leave))
            wanted = {
                point for point in found.points if self._requested(node, point) or self._needy_at(node, point)
            }
            wanted.update(self._parted(node))
            save_points.extend((node.id, point) for point in sorted(wanted) if base < point < leave)
            others = [each for each in self._needy_at(node, leave) if child is None or each != child.id]
            if (
                child is None
                or others
                or max(self._parted(node), default=0) >= leave
                or leave < found.points[-1]
                or self._requested(node, leave)
            ):
                save_points.append((node.id, leave))
            if child is None:
                return Path(tuple(stages), tuple(save_points))
            node, base = child, child.start

    def starts_at(self, number: int, step: int) -> bool:
        """Whether any stage still to run starts from that state."""
        return any(self.continuations((number, step)))

    def is_noted(self, node: Node) -> bool:
        """Whether somebody may come to part from others in a node, or to fork there."""
        return node.id in self.partings or node.id in self.boundaries

    def needed_beyond(self, node: Node, step: int) -> bool:
        """Whether any running study needs a state above ``step`` of the node or of what hangs below it there."""
        wanted = self.outlooks.get(node.id, EMPTY).wanted
        return bool(wanted) and wanted[-1] > step

    def steps_to_run(self) -> Iterator[tuple[Node, Range]]:
        """All ranges, ready or not."""
        for number, outlook in self.outlooks.items():
            for found in outlook.ranges:
                yield self.plan.nodes[number], found

    def steps_left(self, study: int) -> int:
        """How many steps in ranges, ready or not, lie where a study has open requests."""
        nodes = self.plan.nodes
        return sum(
            found.points[-1] - found.base
            for number, outlook in self.outlooks.items()
            if outlook.ranges and study in nodes[number].open
            for found in outlook.ranges
        )

    # Within

    def _recompute(self, node: Node) -> bool:
        """Computes a node's outlook; tells whether its parent sees a change."""
        before = self.outlooks.get(node.id, EMPTY)
        after = self._outlook(node)
        version = self._versions.get(node.id, 0) + 1
        self._versions[node.id] = version
        if after == EMPTY:
            self.outlooks.pop(node.id, None)
        else:
            self.outlooks[node.id] = after
        if after.offers:
            self.offers[node.id] = None
        else:
            self.offers.pop(node.id, None)
        own = sum(found.points[-1] - found.base for found in after.ranges) * self.step_seconds(node)
        self.work += own - self._own.get(node.id, 0.0)
        self._own[node.id] = own
        ready = [found for found in after.ranges if self.ready(node, found)]
        for found in ready:
            heapq.heappush(self._heap, self._entry(node, found))
            if self._turns is not None:
                self._push(node, found)
        if ready:
            self.ready_ranges[node.id] = len(ready)
        else:
            self.ready_ranges.pop(node.id, None)
        self.range_count += len(after.ranges) - len(before.ranges)
        if after.wanted != before.wanted:
            self.astir[node.id] = None
        wants = bool(after.wanted)
        now, earlier = after.from_start(node), before.from_start(node)
        if now == earlier and wants == bool(before.wanted):
            return False
        if node.parent is not None:
            self._note_child(node, needs=now is not None)
        return True

    def _entry(self, node: Node, found: Range) -> _Entry:
        length = found.remaining + found.ahead
        return -found.priority, -length, node.id, found.base, self._versions[node.id], found.ahead

    def _push(self, node: Node, found: Range) -> None:
        """Lists a ready range in the order of everybody who needs it."""
        assert self._turns is not None
        for user in found.users:
            heapq.heappush(self._turns.setdefault(user, []), self._entry(node, found))

    def _note_child(self, node: Node, needs: bool) -> None:
        assert node.parent is not None
        starts = self._needy.setdefault(node.parent.id, {})
        if needs:
            starts.setdefault(node.start, {})[node.id] = None
        elif node.start in starts:
            starts[node.start].pop(node.id, None)
            if not starts[node.start]:
                del starts[node.start]
            if not starts:
                del self._needy[node.parent.id]

    def _outlook(self, node: Node) -> Outlook:
        needy = self._needy.get(node.id, {})
        requested = [step for step in node.requests if self._requested(node, step)]
        wanted = sorted({*requested, *needy})
        parted = self._parted(node)
        if not (wanted or parted):
            return EMPTY
        leases = list(self.leases.get(node.id, {}).values())
        offers: dict[tuple[int, int], None] = {}
        uncovered = []
        for point in wanted:
            if point in node.checkpoints and point not in node.requests:
                continue
            if any(lease.promises_state((node.id, point)) for lease in leases):
                continue
            carrier = next((lease for lease in leases if lease.will_reach(node.id, point)), None)
            if carrier is not None and (node.id, point) not in carrier.promises:
                offers[carrier.fence, point] = None
            elif carrier is None or point in needy:
                uncovered.append(point)
        beyond = max(0, *uncovered[-1:], *parted) if uncovered or parted else 0
        # What lies beyond where a path leaves the node goes on from there.
        leaving = [stop for lease in leases if (stop := lease.leaves(node.id)) < beyond]
        for point in (*parted, *leaving):
            if point in wanted or point in node.checkpoints:
                continue
            carrier = next((lease for lease in leases if lease.will_reach(node.id, point)), None)
            if carrier is not None and (node.id, point) not in carrier.promises:
                offers[carrier.fence, point] = None
        return Outlook(self._ranges(node, uncovered, leases), tuple(offers), tuple(wanted))

    def _ranges(self, node: Node, points: Iterable[int], leases: list[Lease]) -> tuple[Range, ...]:
        promised = {
            step
            for lease in leases
            for number, step in lease.promises
            if number == node.id and lease.promises_state((number, step))
        }
        states = sorted({node.start, *node.checkpoints, *promised})
        by_base: dict[int, list[int]] = {}
        for point in points:
            base = max(state for state in states if state < point)
            by_base.setdefault(base, []).append(point)
        return tuple(self._range(node, base, tuple(above)) for base, above in by_base.items())

    def _range(self, node: Node, base: int, points: tuple[int, ...]) -> Range:
        seconds = self.step_seconds(node)
        length = remaining = ahead = 0.0
        priority: int | None = None
        users = NOBODY
        for point in points:
            below, beyond, urgency, theirs = self._beyond(node, point)
            if theirs is not users and not theirs <= users:
                users = users | theirs if users else theirs
            here = (point - base) * seconds + below
            if here + beyond > length:
                length, remaining, ahead = here + beyond, here, beyond
            priority = urgency if priority is None else max(priority, urgency)
        return Range(base, points, priority or 0, remaining, ahead, self._users.setdefault(users, users))

    def _beyond(self, node: Node, point: int) -> tuple[float, float, int, frozenset[str]]:
        """The longest way on from a state below the node, what lies ahead of it, the highest priority there, and whose.

        Whose: of all who wait there.
        """
        remaining, ahead = 0.0, self.seconds_ahead(node, point)
        users, priorities = NOBODY, []
        if point in node.requests:
            studies = {study for study, _ in node.requests[point] if study in self.active}
            priorities = [self.active[study] for study in studies]
            users = frozenset([self.owners[study] for study in studies])
            users = self._users.setdefault(users, users)
        for number in self._needy_at(node, point):
            found = self.outlooks[number].from_start(self.plan.nodes[number])
            if found is not None:
                if found.remaining + found.ahead > remaining + ahead:
                    remaining, ahead = found.remaining, found.ahead
                priorities.append(found.priority)
                if found.users is not users and not found.users <= users:
                    users = users | found.users if users else found.users
        return remaining, ahead, max(priorities, default=0), users

    def seconds_ahead(self, node: Node, point: int) -> float:
        """What running studies that wait for a state are sure to ask for beyond it."""
        steps = [steps for (study, _), steps in node.requests.get(point, {}).items() if study in self.active]
        return max(steps, default=0) * self.step_seconds(node)

    def _longest(self, node: Node, found: Range, user: str | None) -> tuple[int, Node | None]:
        """Where the longest path leaves a range, and for which child; None: it ends there. A user's path, or any."""
        seconds = self.step_seconds(node)
        best = (-1.0, 0, 0)
        points = found.points
        if user is not None:
            points = tuple(point for point in points if user in self._beyond(node, point)[3])
        leave: tuple[int, Node | None] = (points[-1], None)
        for point in points:
            own = (point - found.base) * seconds
            options: list[tuple[float, Node | None]] = []
            ahead = self.seconds_ahead(node, point)
            if point == points[-1] or ahead:
                options.append((own + ahead, None))
            for number in self._needy_at(node, point):
                child = self.plan.nodes[number]
                start = self.outlooks[number].from_start(child)
                if start is not None and (user is None or user in start.users):
                    options.append((own + start.remaining + start.ahead, child))
            for length, option in options:
                rank = (length, 1 if option is not None else 0, -(option.id if option is not None else 0))
                if rank > best:
                    best, leave = rank, (points[-1] if option is None else point, option)
        return leave

    def _requested(self, node: Node, step: int) -> bool:
        return any(study in self.active for study, _ in node.requests.get(step, {}))

    def _parted(self, node: Node) -> Iterable[int]:
        """States of a node at which somebody of a running study may come to part from others, or to fork."""
        partings, boundaries = self.partings.get(node.id), self.boundaries.get(node.id)
        found = []
        if partings is not None:
            found += [
                step for step, trials in partings.items() if any(study in self.active for study, _ in trials)
            ]
        if boundaries is not None:
            found += [
                step
                for step, studies in boundaries.items()
                if any(study in self.active for study in studies) and step not in found
            ]
        return found

    def _needy_at(self, node: Node, step: int) -> Iterable[int]:
        return self._needy.get(node.id, {}).get(step, {})
