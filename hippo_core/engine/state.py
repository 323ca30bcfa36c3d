"""The engine's state: what the events so far amount to, with the indexes that decisions need.

Only ``hippo_core.engine.fold`` changes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.allowance import Allowance
from hippo_core.engine.events import Event
from hippo_core.engine.policy_calls import PolicyCall, Requested
from hippo_core.engine.states import WorkerState
from hippo_core.engine.study import Study
from hippo_core.lease import Lease, State
from hippo_core.plan import Node, Plan
from hippo_core.tree import StageTree

STORY_LENGTH = 64


@dataclass(slots=True, kw_only=True, eq=False)
class Account:
    """What a project, or a user of one, may use, and has been billed."""

    project: str
    user: str  #: empty: the project itself
    allowance: Allowance = field(default_factory=Allowance)
    billed: int = 0  #: microseconds of slots
    billed_gpus: int = 0  #: microseconds of GPUs
    passed: int = 0  #: how far its turns have moved on, in microseconds of a weight of 1


@dataclass(slots=True, kw_only=True, eq=False)
class PlanState:
    """A search plan with its stage tree."""

    id: int
    project: str
    program_key: str
    environment: str
    plan: Plan
    tree: StageTree
    studies: dict[int, None] = field(default_factory=dict)


MOST_AHEAD = 16  #: leases at most wait in a slot, whatever its worker asks for


@dataclass(slots=True, kw_only=True, eq=False)
class Slot:
    """A place that trains one path at a time, and may hold others that are to follow it.

    Attributes:
        queue: The leases that have yet to be trained, the one in training first.
        holds: The state that its runner keeps in memory.
        cordoned: Why it is granted nothing; empty: it is granted paths.
    """

    index: int
    device: str
    model: str
    cpus: int
    gpus: int
    queue: list[int] = field(default_factory=list)
    holds: State | None = None
    cordoned: str = ""
    cordoned_by_user: bool = False

    @property
    def fence(self) -> int | None:
        """The lease that trains in it."""
        return self.queue[0] if self.queue else None

    @property
    def idle(self) -> bool:
        """Whether it waits for a path."""
        return not self.queue and not self.cordoned


@dataclass(slots=True, kw_only=True, eq=False)
class Worker:
    """A host's daemon."""

    name: str
    incarnation: str
    host: str
    environment: Mapping[str, Any]
    labels: Mapping[str, str]
    slots: dict[int, Slot]
    state: WorkerState = WorkerState.LIVE
    reason: str = ""
    draining: bool = False  #: this life of it was asked to drain, whatever has happened since
    blocked: str = ""  #: what the storage says, which it cannot read; empty: it can


@dataclass(slots=True, eq=False)
class EngineState:
    """All that the engine knows, volatile deadlines apart."""

    studies: dict[int, Study] = field(default_factory=dict)
    names: dict[tuple[str, str], int] = field(default_factory=dict)  #: (project, name) to study
    plans: dict[int, PlanState] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    leases: dict[int, Lease] = field(default_factory=dict)  #: live ones
    #: Slots that wait for a path, by worker and index.
    idle: set[tuple[str, int]] = field(default_factory=set)
    hindered: dict[int, None] = field(default_factory=dict)  #: leases whose saves the storage holds up
    orphans: dict[int, Lease] = field(default_factory=dict)  #: those whose worker is not heard of
    dropped: dict[tuple[int, int, int], int] = field(default_factory=dict)  #: (node, step, fence) to plan
    pins: dict[State, dict[int, None]] = field(default_factory=dict)  #: states that studies want kept
    active: dict[int, int] = field(default_factory=dict)  #: running studies and their priorities
    growing: dict[int, None] = field(
        default_factory=dict
    )  #: studies with trials to be created; while something is decided, perhaps others too
    failing: dict[int, None] = field(default_factory=dict)  #: nodes with failures that count still
    cramped: dict[int, None] = field(default_factory=dict)  #: nodes whose next try is to be alone on its host
    owners: dict[int, str] = field(default_factory=dict)  #: the users of running studies
    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)  #: by project and user
    foremost: dict[str, int] = field(
        default_factory=dict
    )  #: by project: how far the turns of its foremost user are; with an empty name, those of the foremost project
    checkpoint_bytes: dict[str, int] = field(default_factory=dict)  #: by project: of what is kept
    last_study: int = 0
    last_plan: int = 0
    last_node: int = 0
    last_fence: int = 0
    last_sequence: int = 0
    story: deque[Event] = field(default_factory=lambda: deque(maxlen=STORY_LENGTH))

    # What decisions have yet to look at; filled by the fold, emptied by the engine.
    touched_studies: dict[int, None] = field(default_factory=dict)
    touched_requests: dict[tuple[int, int], None] = field(
        default_factory=dict
    )  #: opened: perhaps trained already
    touched_plans: dict[int, None] = field(default_factory=dict)
    touched_nodes: dict[int, None] = field(default_factory=dict)  #: trained or evaluated
    begun: dict[int, None] = field(default_factory=dict)  #: leases whose turn in their slots has come

    def is_first(self, lease: Lease) -> bool:
        """Whether a lease is the one that trains in its slot, and does not wait for another to end there."""
        worker = self.workers.get(lease.worker)
        return (
            worker is not None
            and lease.slot in worker.slots
            and worker.slots[lease.slot].fence == lease.fence
        )

    @property
    def kept_bytes(self) -> int:
        """Bytes of all checkpoints that are kept."""
        return sum(self.checkpoint_bytes.values())

    def tree_of(self, node: Node) -> StageTree:
        """The stage tree that a node is planned in."""
        return self.plans[node.plan].tree

    def study_named(self, project: str, name: str) -> Study | None:
        """The study of that name."""
        number = self.names.get((project, name))
        return None if number is None else self.studies[number]

    def tell(self, study: Study, call: PolicyCall) -> None:
        """Tells a study's policy, and remembers it."""
        study.history.append(call)
        if not isinstance(call, Requested):
            study.news = len(study.history)
        call.tell(study.policy)
        self.touched_studies[study.id] = None
