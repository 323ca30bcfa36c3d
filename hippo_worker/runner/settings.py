"""What a runner is told when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """What a runner needs to know before its first path.

    Attributes:
        slot: The slot that it trains for; part of the process title.
        device: ``cpu`` or ``cuda``.
        threads: Threads for torch.
        folder: A folder of its own, for what it prints while no path is trained.
        gpu_memory_fraction: How much of its GPU's memory it may take; None: all there is.
    """

    slot: int
    device: str
    threads: int
    folder: Path
    gpu_memory_fraction: float | None = None

    def to_plain(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {
            "slot": self.slot,
            "device": self.device,
            "threads": self.threads,
            "folder": str(self.folder),
            "gpu_memory_fraction": self.gpu_memory_fraction,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> RunnerSettings:
        """The inverse of :meth:`to_plain`."""
        return cls(**{**plain, "folder": Path(plain["folder"])})
