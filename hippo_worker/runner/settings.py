"""What a runner, or the process of a user's own policy, is told when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

POLICY_LOG = "policy.log"  #: what a policy says, in its process's folder


class ProcessSettings(Protocol):
    """Settings of a process that the forkserver starts."""

    module: ClassVar[str]  #: whose ``start`` it runs, and whose ``main`` in an interpreter of its own

    def to_plain(self) -> dict[str, Any]:
        """The settings as plain data."""
        ...


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

    module: ClassVar[str] = "hippo_worker.runner.main"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """What the process of a user's own policy needs to know.

    Attributes:
        study: The study's number; part of the process title.
        code: The folder of the bundle.
        folder: A folder of its own, for what it prints.
        policy_json: The class, and what it is made with.
        context_json: What it knows of its study.
        memory_bytes: How much memory it may hold.
    """

    module: ClassVar[str] = "hippo_worker.policies.main"

    study: int
    code: Path
    folder: Path
    policy_json: str
    context_json: str
    memory_bytes: int

    def to_plain(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {
            "study": self.study,
            "code": str(self.code),
            "folder": str(self.folder),
            "policy_json": self.policy_json,
            "context_json": self.context_json,
            "memory_bytes": self.memory_bytes,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> PolicySettings:
        """The inverse of :meth:`to_plain`."""
        return cls(**{**plain, "code": Path(plain["code"]), "folder": Path(plain["folder"])})
