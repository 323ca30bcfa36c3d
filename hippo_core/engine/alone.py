"""Which paths are to train alone on their host, and which host that is: those whose last try ran out of memory.

While one waits, a host is kept free for it as its slots come free; while one trains, nothing else begins beside it, and
the host's other slots keep no trainer in memory.
Both end with the node's failures: when a state beyond the step that failed is saved, or its trials have failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hippo_core.engine.environments import suits
from hippo_core.engine.state import EngineState, PlanState
from hippo_core.engine.states import WorkerState
from hippo_core.engine.turns import Turns
from hippo_core.lease import Stage
from hippo_core.longest_paths import longest_path
from hippo_core.stage_ranges import Candidate


@dataclass(frozen=True, slots=True)
class Top:
    """The first of a plan's ready ranges; or of a user's, where there are several."""

    plan: PlanState
    candidate: Candidate
    user: str | None  #: None: there is only one
    alone: bool  #: whether its path is to train alone on its host

    @property
    def rank(self) -> tuple[int, float]:
        """Priority, then the longest remaining path."""
        return self.candidate.priority, self.candidate.length


@dataclass(frozen=True, slots=True)
class Room:
    """Which hosts may be given what."""

    busy: frozenset[str]  #: hosts of which a slot trains
    closed: frozenset[str]  #: hosts on which a path trains alone
    kept: str | None  #: the host that is kept for a path that waits to train alone

    def takes(self, host: str, *, alone: bool) -> bool:
        """Whether a path may begin on a host now."""
        return host not in self.busy if alone else host not in self.closed and host != self.kept


def is_alone(state: EngineState, stages: Iterable[Stage]) -> bool:
    """Whether a path with these stages is to train alone on its host."""
    return bool(state.cramped) and any(number in state.cramped for number, _, _ in stages)


def neighbours(state: EngineState, name: str) -> list[str]:
    """The other workers of a worker's host."""
    host = state.workers[name].host
    return [each.name for each in state.workers.values() if each.host == host and each.name != name]


def makes_room(state: EngineState, name: str) -> bool:
    """Whether a worker keeps nothing in memory, since a path trains alone on its host in another worker."""
    return bool(state.cramped) and any(
        is_alone(state, lease.stages[lease.index :])
        for each in neighbours(state, name)
        for slot in state.workers[each].slots.values()
        if slot.fence is not None and (lease := state.leases.get(slot.fence)) is not None
    )


def tops(state: EngineState, plans: Iterable[PlanState], turns: Turns) -> Iterator[Top]:
    """Of each plan the first ready range of everybody who may take a slot.

    Where it is to train alone, the first of the others too.
    """
    cramped = {state.nodes[number].plan for number in state.cramped}
    for plan in plans:
        for user in turns.users_in(plan):
            best = plan.tree.best(user)
            if best is None or (user is not None and not turns.may_take((plan.project, user))):
                continue
            if plan.id in cramped:
                yield from _tops_of_both_kinds(state, plan, user)
            else:
                yield Top(plan, best, user, alone=False)


def _tops_of_both_kinds(state: EngineState, plan: PlanState, user: str | None) -> Iterator[Top]:
    seen: set[bool] = set()
    place = 1
    while len(seen) < 2 and (candidate := plan.tree.ready_at(place, user)) is not None:
        alone = is_alone(state, longest_path(plan.tree, candidate.node, candidate.base, user).stages)
        if alone not in seen:
            seen.add(alone)
            yield Top(plan, candidate, user, alone=alone)
        place += 1


def room(state: EngineState, found: Iterable[Top]) -> Room:
    """Which hosts may be given what, where these ranges are ready."""
    there = [
        worker
        for worker in state.workers.values()
        if worker.state in {WorkerState.LIVE, WorkerState.DRAINING}
    ]
    counts: dict[str, int] = {}
    closed: set[str] = set()
    for worker in there:
        leases = [state.leases[slot.fence] for slot in worker.slots.values() if slot.fence in state.leases]
        counts[worker.host] = counts.get(worker.host, 0) + len(leases)
        if any(is_alone(state, lease.stages[lease.index :]) for lease in leases):
            closed.add(worker.host)
    waiting = max((top for top in found if top.alone), key=lambda top: top.rank, default=None)
    kept = None
    if waiting is not None:
        fitting = {
            worker.host
            for worker in there
            if worker.state is WorkerState.LIVE
            and any(
                not slot.cordoned and suits(state, waiting.plan, worker, slot)
                for slot in worker.slots.values()
            )
        }
        kept = min(fitting - closed, key=lambda host: (counts[host], host), default=None)
    return Room(frozenset(host for host, count in counts.items() if count), frozenset(closed), kept)
