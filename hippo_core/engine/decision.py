"""A decision in the making: the state, the time, and the events that it has come to so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from hippo_core.engine.events import Event
from hippo_core.engine.fold import apply
from hippo_core.engine.state import EngineState
from hippo_core.lease_order import PrepareOrder

Preparations = dict[str, dict[int, PrepareOrder]]
"""What idle slots are made ready for, by worker and slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Times in seconds, and how often to try.

    Attributes:
        heartbeat_seconds: How often a worker renews its leases.
        lease_seconds: After how long without a renewal its leases are given to others.
        orphan_seconds: How long a worker without a server trains on.
        backoff_seconds: The first pause after an infrastructure failure; it doubles with each further one.
        backoff_limit_seconds: The longest pause.
        full_seconds: The first pause of a plan for whose states no space was left; it doubles with each further one.
        full_limit_seconds: The longest such pause.
        count_seconds: How often it is written for how long studies have been running.
        turn_seconds: For how long a slot counts, in advance, against a user who is given it. Where several want slots,
            none that is taken over is taken back sooner.
        credit_seconds: How many slot seconds, for a weight of 1, somebody may catch up who wanted less for a while.
        user_retries: How often a failure of user code, of memory, or a stall is tried again.
        poison_workers: How many workers have to die at one step for it to be quarantined.
        stall_seconds: After how long without a step a path is taken to be stuck, where steps are not known to be slow.
        sharing: Whether trials share what they have in common. Without, each is trained alone: to compare with.
        cutting: Whether a running path yields its slot to a longer one, to one of higher priority, or to one of another
            user. Without, each runs to its leaf: to compare with.
        checkpoint_budget: How many bytes all checkpoints may hold before some go; None: as many as come.
    """

    heartbeat_seconds: float = 5.0
    lease_seconds: float = 30.0
    orphan_seconds: float = 600.0
    backoff_seconds: float = 0.2
    backoff_limit_seconds: float = 30.0
    full_seconds: float = 5.0
    full_limit_seconds: float = 60.0
    count_seconds: float = 15.0
    turn_seconds: float = 60.0
    credit_seconds: float = 3600.0
    user_retries: int = 1
    poison_workers: int = 3
    stall_seconds: float = 1800.0
    sharing: bool = True
    cutting: bool = True
    checkpoint_budget: int | None = None


@dataclass(slots=True)
class Course:
    """How the path that trains in a slot is getting on, by the driver's time.

    Attributes:
        fence: Its lease.
        began: When it was granted, or a new leader began.
        ends: When it is expected to end; as of its last report.
        ahead: What is sure to be asked for beyond its end, in seconds.
    """

    fence: int
    began: float
    ends: float
    ahead: float


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a slot is to hold beside the lease that trains there.

    Attributes:
        count: How many leases.
        fence: The lease behind which alone; 0: behind every one.
        asked: When that was said.
    """

    count: int
    fence: int
    asked: float


@dataclass(slots=True)
class Overhead:
    """What starts and saves of a plan's paths were seen to cost their slots, in seconds: moving means; 0: not seen."""

    start: float = 0.0
    save: float = 0.0


@dataclass(slots=True)
class Look:
    """At all paths of a plan, none of which was to yield to the first of those that were ready.

    Attributes:
        due: When one was to yield, as things were.
        again: From when on to look again, or at once where a longer path, or one of another priority, is the first.
        length: Of the one that was the first, in seconds.
        priority: Its priority.
    """

    due: float
    again: float
    length: float
    priority: int


@dataclass(slots=True)
class Budget:
    """How a budget for checkpoints is used.

    Attributes:
        used: How many bytes, at most; None: not counted yet.
        grown: How many have come since it was looked at last.
        over: By how much it is passed and what for, in words; empty: it is not.
    """

    used: int | None = None
    grown: int = 0
    over: str = ""


@dataclass(slots=True)
class Volatile:
    """What starts anew with a new leader: times."""

    worker_deadlines: dict[str, float] = field(default_factory=dict)
    unblock: dict[int, float] = field(default_factory=dict)  #: by node
    held: dict[int, float] = field(default_factory=dict)  #: by plan: until when none of its paths begins
    running: dict[int, float] = field(default_factory=dict)  #: by study: since when its time is not counted
    counted: float = 0.0  #: when that of all was
    full: dict[int, int] = field(default_factory=dict)  #: by plan: pauses in a row for a lack of space
    courses: dict[tuple[str, int], Course] = field(default_factory=dict)  #: by worker and slot
    #: by plan: no path of it ends sooner, with what is sure to follow it; it may be later by now
    soonest_ends: dict[int, float] = field(default_factory=dict)
    looks: dict[int, Look] = field(default_factory=dict)  #: by plan
    overheads: dict[int, Overhead] = field(default_factory=dict)  #: by plan
    ahead: dict[tuple[str, int], Ahead] = field(
        default_factory=dict
    )  #: by worker and slot, where one is to hold any
    next_return: float | None = None  #: when what waits in slots is to be looked at next; None: nothing waits
    reopened: dict[int, None] = field(
        default_factory=dict
    )  #: studies whose budget of steps is to be compared with what is open
    budgets: dict[int, Budget] = field(default_factory=dict)  #: of studies, and for 0 that of the storage
    look_at_budgets: bool = True  #: a leader that begins may have been given others
    present: dict[tuple[str, str], None] = field(
        default_factory=dict
    )  #: users with something to train, by project
    prepared: Preparations = field(default_factory=dict)
    reordered: dict[str, None] = field(default_factory=dict)  #: workers for which that has changed
    next_cut: float | None = None  #: when a running path may have to yield its slot


@dataclass(slots=True)
class Decision:
    """What a handler works with. ``emit`` is the only way to change the state."""

    state: EngineState
    settings: EngineSettings
    volatile: Volatile
    now: float
    keeps: bool = False  #: whether what it cuts off is saved, as it may be taken up again
    events: list[Event] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)  #: see ``Outcome`` of the engine

    def emit(self, event: Event) -> None:
        """Decides that the event happened."""
        apply(self.state, event)
        self.events.append(event)
