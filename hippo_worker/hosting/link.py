"""What a host tells while it trains, what it can be told meanwhile, and how a path can end.

Order of what is told about one path: ``stage_started`` before the first step of each stage; then,
buffered and told together, the metrics of states and *after them* the steps that lead to these states,
so that a step that counts as trained never lacks its metrics; a checkpoint after the steps that lead to
it. Each save that the host begins ends with one ``checkpoint_written`` or one ``save_failed``, also after
``PathHost.run`` has returned.

``checkpoint_written`` and ``save_failed`` are called from the host's writer thread, all else from the
thread that trains. No method waits for an acknowledgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hippo_core.engine.states import FailureClass
from hippo_storage.manifest import FileEntry


class Flag(Protocol):
    """One byte that both sides see: a ``bytearray`` in one process, an ``mmap`` between two."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferSavePoint:
    """Save the state at ``step`` of ``node`` if it is yet to come; to be answered."""

    node: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPath:
    """End the path at the next step boundary, saving the state there or not."""

    save: bool
    reason: str


Instruction = OfferSavePoint | StopPath


class Link(Protocol):
    """Whom a host tells what happens: the runner's socket or, in one process, check and verify."""

    @property
    def flag(self) -> Flag:
        """``flag[0]`` is not 0 when instructions wait; it is read at every step and nothing else is.

        The sender queues first and then sets it; the host clears it first and then calls ``instructions``.
        """
        ...

    def instructions(self) -> list[Instruction]:
        """Takes the instructions that wait, oldest first."""
        ...

    def stage_started(self, node: int) -> None:
        """What user code prints from now on belongs to ``node``."""
        ...

    def metrics(
        self,
        node: int,
        step: int,
        metrics: Mapping[str, float],
        training: Mapping[str, float],
        evaluated: bool,
    ) -> None:
        """The state at ``step`` was evaluated, or the step before it returned training metrics."""
        ...

    def steps_trained(
        self, node: int, start: int, stop: int, train_seconds: float, evaluate_seconds: float
    ) -> None:
        """Steps ``start..stop-1`` were trained; consecutive calls leave no gap."""
        ...

    def checkpoint_written(
        self,
        node: int,
        step: int,
        folder: Path,
        files: Mapping[str, FileEntry],
        blocked_seconds: float,
    ) -> None:
        """The state's ``files`` are complete in ``folder``, which is the receiver's now; not yet durable."""
        ...

    def save_failed(self, node: int, step: int, reason: str, full: bool) -> None:
        """The state could not be written, in words, and whether since no space is left; training goes on."""
        ...

    def answered(self, node: int, step: int, will: bool) -> None:
        """The answer to an offered save point: it will be saved, or was passed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """All steps are trained. The host holds the end state in memory; saves may still be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The path could not be trained further.

    Attributes:
        failure: Whose fault.
        message: One line for people, with the remedy.
        traceback: The trace with the user's frames first; may be empty.
        node: The node that trains that step.
        step: The step that was being trained. Where a state could not be evaluated or saved: the step whose
            training led to it, one before the state's.
    """

    failure: FailureClass
    message: str
    traceback: str
    node: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The path was given back unfinished, as it was told to."""

    reason: str


PathResult = Trained | Failed | Released
