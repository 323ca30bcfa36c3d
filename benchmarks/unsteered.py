"""The link of a path that nobody steers, and of which nobody hears."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hippo_storage.manifest import FileEntry
from hippo_worker.hosting.link import Instruction


class Unsteered:
    """A link without anybody at its other end."""

    def __init__(self) -> None:
        self.flag = bytearray(1)

    def instructions(self) -> list[Instruction]:
        """Nothing was said."""
        return []

    def stage_started(self, node: int) -> None:
        """Not told."""

    def metrics(
        self,
        node: int,
        step: int,
        metrics: Mapping[str, float],
        training: Mapping[str, float],
        evaluated: bool,
    ) -> None:
        """Not told."""

    def steps_trained(
        self, node: int, start: int, stop: int, train_seconds: float, evaluate_seconds: float
    ) -> None:
        """Not told."""

    def checkpoint_written(
        self,
        node: int,
        step: int,
        folder: Path,
        files: Mapping[str, FileEntry],
        blocked_seconds: float,
    ) -> None:
        """Not told."""

    def save_failed(self, node: int, step: int, reason: str, full: bool) -> None:
        """A benchmark without its states measures nothing."""
        raise RuntimeError(reason)

    def answered(self, node: int, step: int, will: bool) -> None:
        """Not told."""
