"""Checkpoints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPublished:
    """A checkpoint is durable."""

    fence: int
    node: int
    step: int
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLost:
    """A checkpoint is corrupt or missing and no longer counts."""

    node: int
    step: int
    fence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDropped:
    """A checkpoint is let go, and why; its files are to be removed."""

    node: int
    step: int
    fence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPinned:
    """A user wants a state of a study kept, whatever the budgets say."""

    study: int
    node: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointUnpinned:
    """The user wants it no more."""

    study: int
    node: int
    step: int


CheckpointEvent = (
    CheckpointPublished | CheckpointLost | CheckpointDropped | CheckpointPinned | CheckpointUnpinned
)
