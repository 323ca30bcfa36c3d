"""What workers say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSpec:
    """A place that trains one path at a time."""

    index: int
    device: str  #: "cpu" or "cuda"
    model: str
    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLease:
    """A lease that a worker says its slots still train."""

    fence: int
    acknowledged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterWorker:
    """Make a worker known. Leases of an earlier incarnation, and those it does not name, are released."""

    worker: str
    incarnation: str
    host: str
    slots: tuple[SlotSpec, ...]
    environment: Json  #: python, torch, cuda, platform
    labels: Mapping[str, str] = field(default_factory=dict)
    leases: tuple[HeldLease, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Renew all leases of the worker."""

    worker: str
    incarnation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainWorker:
    """Grant the worker no further leases; it saves, releases and leaves."""

    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CordonSlots:
    """Grant a slot of a worker nothing more, or all of its slots; what trains there goes on."""

    worker: str
    slot: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UncordonSlots:
    """Let a slot of a worker be granted paths again, or all of its slots."""

    worker: str
    slot: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHealth:
    """The worker has checked the device of a slot: it failed, for this reason in words, or is in order."""

    worker: str
    incarnation: str
    slot: int
    failed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStorage:
    """The worker has tried to read its storage: what that says, in words; empty: it answers again."""

    worker: str
    incarnation: str
    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAhead:
    """The worker wants so many leases for a slot beside the one that trains there.

    Attributes:
        worker: Its name.
        incarnation: Which life of it.
        slot: The slot.
        count: How many.
        fence: The lease in training that is about to end, behind which alone they are wanted; 0: behind every path, as
            paths are short.
    """

    worker: str
    incarnation: str
    slot: int
    count: int
    fence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLeaves:
    """The worker has ended all leases and goes."""

    worker: str
    incarnation: str


WorkerCommand = (
    RegisterWorker
    | Heartbeat
    | DrainWorker
    | CordonSlots
    | UncordonSlots
    | ReportHealth
    | ReportStorage
    | AskAhead
    | WorkerLeaves
)
