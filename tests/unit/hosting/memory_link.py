"""A link that keeps what it is told, and tells what it was given beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hippo_storage.manifest import FileEntry
from hippo_worker.hosting.link import Instruction


class MemoryLink:
    """Records every call in `told`, in order; `instruct` plays the daemon."""

    def __init__(self) -> None:
        self.flag = bytearray(1)
        self.told: list[tuple[Any, ...]] = []
        self.waiting: list[Instruction] = []
        self.on_told: Callable[[tuple[Any, ...]], None] = lambda entry: None

    def instruct(self, *instructions: Instruction) -> None:
        self.waiting += instructions
        self.flag[0] = 1

    def instructions(self) -> list[Instruction]:
        taken, self.waiting = self.waiting, []
        return taken

    def stage_started(self, node: int) -> None:
        self._tell("stage", node)

    def metrics(
        self,
        node: int,
        step: int,
        metrics: Mapping[str, float],
        training: Mapping[str, float],
        evaluated: bool,
    ) -> None:
        self._tell("metrics", node, step, dict(metrics), dict(training), evaluated)

    def steps_trained(
        self, node: int, start: int, stop: int, train_seconds: float, evaluate_seconds: float
    ) -> None:
        self._tell("steps", node, start, stop)

    def checkpoint_written(
        self,
        node: int,
        step: int,
        folder: Path,
        files: Mapping[str, FileEntry],
        blocked_seconds: float,
    ) -> None:
        self._tell("written", node, step, folder)

    def save_failed(self, node: int, step: int, reason: str, full: bool) -> None:
        self._tell("save_failed", node, step, reason, full)

    def answered(self, node: int, step: int, will: bool) -> None:
        self._tell("answered", node, step, will)

    def _tell(self, *entry: Any) -> None:
        self.told.append(entry)
        self.on_told(entry)

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        """What was told of one kind, without the kind."""
        return [entry[1:] for entry in self.told if entry[0] == kind]

    def evaluations(self) -> dict[int, dict[str, float]]:
        """The metrics of evaluated states, by step."""
        return {step: metrics for _, step, metrics, _, evaluated in self.of("metrics") if evaluated}

    def folder(self, node: int, step: int) -> Path:
        """Where the state was written."""
        (found,) = [entry[2] for entry in self.of("written") if entry[:2] == (node, step)]
        return found
