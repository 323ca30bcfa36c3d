"""A lease: a path in flight, how far it is committed, and the states that it has promised to save."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from hippo_core.engine.states import LIVE_LEASE_STATES, LeaseState

Stage = tuple[int, int, int]  #: node, first step, one past the last
State = tuple[int, int]  #: node, step: the state that the node's step ``step - 1`` leaves


class Promise(StrEnum):
    """What is known of a state that a lease may save."""

    GRANTED = "granted"  #: asked for with the lease
    OFFERED = "offered"  #: asked for while it runs, not yet answered
    WILL = "will"
    PASSED = "passed"
    KEPT = "kept"  #: published
    BROKEN = "broken"  #: the save failed


PENDING_PROMISES = frozenset({Promise.GRANTED, Promise.OFFERED, Promise.WILL})


@dataclass(slots=True, kw_only=True, eq=False)
class Lease:
    """A path granted to a slot.

    Attributes:
        fence: Its number, which every write on its behalf carries.
        user: Whose turn it was.
        stages: Root-most first, each beginning where the one before ends.
        start: Node, step and fence of the state to start from; None: step 0.
        index: The stage that the committed position lies in.
        step: The committed position: all steps of the path below it are committed.
        promises: By state, in the order in which they were made.
        blocked: Why the storage holds up its saves; empty: it does not.
        followers: How many paths will begin where it has yet to save; None: that is not counted, or may have changed.
    """

    fence: int
    worker: str
    incarnation: str
    slot: int
    plan: int
    study: int
    user: str
    stages: tuple[Stage, ...]
    start: tuple[int, int, int] | None
    in_memory: bool
    state: LeaseState = LeaseState.TRAINING
    index: int = 0
    step: int = 0
    report: int = 0  #: the number of the last report taken in
    promises: dict[State, Promise] = field(default_factory=dict)
    extra_saves: list[State] = field(default_factory=list)  #: published without a promise
    stopping: bool = False
    stop_saves: bool = False
    stop_reason: str = ""
    blocked: str = ""
    reason: str = ""
    followers: int | None = None

    def __post_init__(self) -> None:
        """The committed position of a new lease is its start."""
        self.step = max(self.step, self.stages[0][1])

    @property
    def live(self) -> bool:
        """Whether its reports are taken in."""
        return self.state in LIVE_LEASE_STATES

    @property
    def training(self) -> bool:
        """Whether it has steps yet to train."""
        return self.state is LeaseState.TRAINING

    @property
    def is_trained(self) -> bool:
        """Whether all steps of its path are committed."""
        return self.index == len(self.stages) - 1 and self.step >= self.stages[-1][2]

    @property
    def next_node(self) -> int:
        """The node of the step that it trains next; the last where all are committed."""
        index = self.index
        if self.step >= self.stages[index][2] and index + 1 < len(self.stages):
            index += 1
        return self.stages[index][0]

    @property
    def end(self) -> State:
        """The state at the end of its path."""
        node, _, stop = self.stages[-1]
        return node, stop

    @property
    def reached(self) -> State | None:
        """The state that its committed steps led to; None where there are none."""
        node, start, _ = self.stages[self.index]
        return (node, self.step) if self.step > start else None

    def position(self, node: int) -> int | None:
        """The committed step within a node of the path; None where the node is not on it."""
        for index, (number, start, stop) in enumerate(self.stages):
            if number == node:
                if index < self.index:
                    return stop
                return self.step if index == self.index else start
        return None

    def will_reach(self, node: int, step: int) -> bool:
        """Whether its uncommitted steps lead to the state at ``step`` of ``node``."""
        if not self.training:
            return False
        for index, (number, start, stop) in enumerate(self.stages):
            if number == node:
                position = self.step if index == self.index else start
                return index >= self.index and position < step <= stop
        return False

    def leaves(self, node: int) -> int:
        """The step at which the path leaves a node, or ends in it."""
        return next(stop for number, _, stop in self.stages if number == node)

    def went_through(self, node: int, step: int) -> bool:
        """Whether its committed steps led to the state at ``step`` of ``node``."""
        position = self.position(node)
        return position is not None and any(
            number == node and start < step <= position for number, start, _ in self.stages
        )

    def promises_state(self, state: State) -> bool:
        """Whether a save of that state is still to come."""
        return self.live and self.promises.get(state) in PENDING_PROMISES

    def advance(self, node: int, stop: int) -> None:
        """Commits all steps below ``stop`` of ``node``, which must be the next of the path."""
        while self.stages[self.index][0] != node:
            self.index += 1
        self.step = stop

    def pending(self) -> list[State]:
        """The states whose saves are still to come."""
        return [state for state, promise in self.promises.items() if promise in PENDING_PROMISES]
