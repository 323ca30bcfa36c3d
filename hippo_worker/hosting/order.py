"""What a host is told to train: a path, with the program, the state to start from and the states to save."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from hippo_core.program import Program
from hippo_core.sequence import Laws


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFrom:
    """The state that a path starts from.

    Attributes:
        node: The node that trained the step before it.
        step: The state's step.
        fence: The fence of the lease that trained to it.
        folder: A local folder with the checkpoint's verified files. None: the host still holds the state
            in memory, as :meth:`hippo_worker.hosting.host.PathHost.holds` told.
    """

    node: int
    step: int
    fence: int
    folder: Path | None = None

    def to_plain(self) -> dict[str, Any]:
        """The value as plain data, for msgpack and JSON."""
        folder = None if self.folder is None else str(self.folder)
        return {"node": self.node, "step": self.step, "fence": self.fence, "folder": folder}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_plain`."""
        folder = plain["folder"]
        return cls(
            node=plain["node"],
            step=plain["step"],
            fence=plain["fence"],
            folder=None if folder is None else Path(folder),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOrder:
    """Steps ``start..stop-1`` of a node, trained under its laws."""

    node: int
    start: int
    stop: int
    laws: Laws

    def __post_init__(self) -> None:
        """A stage has at least one step."""
        if not 0 <= self.start < self.stop:
            raise ValueError(f"stage of node {self.node}: {self.start}..{self.stop} has no steps")

    def to_plain(self) -> dict[str, Any]:
        """The value as plain data, for msgpack and JSON."""
        return {"node": self.node, "start": self.start, "stop": self.stop, "laws": self.laws.to_json()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_plain`."""
        return cls(
            node=plain["node"],
            start=plain["start"],
            stop=plain["stop"],
            laws=Laws.from_json(plain["laws"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupOrder:
    """A trainer to be made for a path that is still to come; the fields are as the path's own."""

    program: Program
    program_key: str
    code: Path
    setup_laws: Laws
    data_dir: Path

    def to_plain(self) -> dict[str, Any]:
        """The order as plain data, for msgpack and JSON."""
        return {
            "program": _program_text(self.program),
            "program_key": self.program_key,
            "code": str(self.code),
            "setup_laws": self.setup_laws.to_json(),
            "data_dir": str(self.data_dir),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_plain`."""
        return cls(
            program=_program(plain["program"]),
            program_key=plain["program_key"],
            code=Path(plain["code"]),
            setup_laws=Laws.from_json(plain["setup_laws"]),
            data_dir=Path(plain["data_dir"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PathOrder:
    """A path to train, root-most stage first.

    Attributes:
        fence: The lease's fence.
        plan: The plan that the nodes belong to.
        program: What is trained.
        program_key: Its digest; a host that has trained one program refuses another.
        code: The folder of the unpacked bundle.
        setup_laws: The laws at the trial's step 0: ``setup`` sees their values at 0.
        start: The state to start from; None: step 0.
        stages: Consecutive: each begins where the one before ends.
        save_points: States to save, as (node that trained the step before, step). The path's end is saved
            always.
        checkpoint_every: Save at multiples of so many steps; None: as often as the cost allows.
        objectives: What the study looks at, objectives first, to tell a missing one with the names that were reported.
        watched: Whether something is decided by evaluations within the stages: each is told at once.
        spool: A folder on a local disk in which the host writes checkpoints; whoever takes them removes them.
        data_dir: The worker's data folder, as ``context.data_dir``.
    """

    fence: int
    plan: int
    program: Program
    program_key: str
    code: Path
    setup_laws: Laws
    start: StartFrom | None
    stages: tuple[StageOrder, ...]
    save_points: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    checkpoint_every: int | None = None
    objectives: tuple[str, ...] = ()
    watched: bool = True
    spool: Path
    data_dir: Path

    def __post_init__(self) -> None:
        """The stages follow each other, and the first one begins at the state to start from."""
        if not self.stages:
            raise ValueError("a path has at least one stage")
        step = 0 if self.start is None else self.start.step
        for stage in self.stages:
            if stage.start != step:
                raise ValueError(f"stage of node {stage.node} begins at {stage.start}, the path is at {step}")
            step = stage.stop

    @property
    def end(self) -> tuple[int, int]:
        """The state at the end of the path: (node, step)."""
        last = self.stages[-1]
        return last.node, last.stop

    def to_plain(self) -> dict[str, Any]:
        """The order as plain data, for msgpack and JSON."""
        return {
            "fence": self.fence,
            "plan": self.plan,
            "program": _program_text(self.program),
            "program_key": self.program_key,
            "code": str(self.code),
            "setup_laws": self.setup_laws.to_json(),
            "start": None if self.start is None else self.start.to_plain(),
            "stages": [stage.to_plain() for stage in self.stages],
            "save_points": [list(point) for point in sorted(self.save_points)],
            "checkpoint_every": self.checkpoint_every,
            "objectives": list(self.objectives),
            "watched": self.watched,
            "spool": str(self.spool),
            "data_dir": str(self.data_dir),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_plain`."""
        start = plain["start"]
        return cls(
            fence=plain["fence"],
            plan=plain["plan"],
            program=_program(plain["program"]),
            program_key=plain["program_key"],
            code=Path(plain["code"]),
            setup_laws=Laws.from_json(plain["setup_laws"]),
            start=None if start is None else StartFrom.from_plain(start),
            stages=tuple(StageOrder.from_plain(stage) for stage in plain["stages"]),
            save_points=frozenset((node, step) for node, step in plain["save_points"]),
            checkpoint_every=plain["checkpoint_every"],
            objectives=tuple(plain["objectives"]),
            watched=plain["watched"],
            spool=Path(plain["spool"]),
            data_dir=Path(plain["data_dir"]),
        )


# The orders of a runner are of one program, and checking it and working out its key takes longer than all the rest.


@lru_cache(maxsize=4)
def _program_text(program: Program) -> str:
    return json.dumps(program.to_json())


@lru_cache(maxsize=4)
def _program(text: str) -> Program:
    return Program.from_json(json.loads(text))
