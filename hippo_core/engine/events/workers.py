"""Workers and their slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core.engine.states import (
    WorkerState,
)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRegistered:
    """A worker came, or came back."""

    worker: str
    incarnation: str
    host: str
    slots: tuple[Json, ...]
    environment: Json
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStateChanged:
    """A worker went into another state."""

    worker: str
    state: WorkerState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCordoned:
    """A slot is granted nothing more, by a user's word or since its device failed its health check."""

    worker: str
    slot: int
    reason: str
    by_user: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotUncordoned:
    """A slot may be granted paths again."""

    worker: str
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerBlocked:
    """A worker cannot read its storage, and is granted nothing; without a reason: it can again."""

    worker: str
    reason: str


WorkerEvent = WorkerRegistered | WorkerStateChanged | WorkerBlocked | SlotCordoned | SlotUncordoned
