"""What a slot is told of a path that it is to train, or to be made ready for: the engine makes it, workers read it."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.program import Program
from hippo_core.sequence import Laws


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOrder:
    """Steps ``start..stop-1`` of a node, under its laws."""

    node: int
    start: int
    stop: int
    laws: Laws


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOrder:
    """What an idle slot is to be made ready for: a path that will begin there when the state it starts from is saved.

    The fields are as those of the lease that may follow.
    """

    slot: int
    plan: int
    program: Program
    program_key: str
    bundle: str
    setup_laws: Laws
    secrets: tuple[str, ...]
    stall_seconds: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseOrder:
    """All that a slot needs to train a path."""

    fence: int
    slot: int
    plan: int
    program: Program
    program_key: str
    bundle: str
    setup_laws: Laws
    start: tuple[int, int, int] | None
    in_memory: bool
    stages: tuple[StageOrder, ...]
    save_points: tuple[tuple[int, int], ...]
    checkpoint_every: int | None
    secrets: tuple[str, ...]
    objectives: tuple[str, ...]
    stall_seconds: float = 1800.0  #: after so long without a step it is taken to be stuck
    watched: bool = True  #: something is decided by evaluations within its stages: each is told at once
    alone: bool = False  #: its worker's other slots let go of the trainers that they keep before it begins
    start_digest: str = ""  #: of the manifest of the checkpoint to start from; empty: only in memory so far
