"""What people ask of what is kept: checkpoints, and programs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PinCheckpoint:
    """Keep a checkpoint of a trial, whatever the budgets say.

    Attributes:
        project: The project.
        name: The study.
        trial: The trial; None: the best one.
        step: The state's step; None: that of a completed trial's end, else the last that is kept.
    """

    project: str
    name: str
    trial: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpinCheckpoints:
    """Let pins of a study go: all; those on the path of a trial; of these, that at a step."""

    project: str
    name: str
    trial: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectCheckpoints:
    """Let checkpoints go that nothing waits for, what is worth least for its bytes first.

    Attributes:
        project: The project.
        name: The study; None: the whole project.
        to_bytes: Until what counts holds no more than so many bytes; None: all that no trial of a study that has not
            ended may go on from.
    """

    project: str
    name: str | None = None
    to_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetProgram:
    """Forget a program whose studies have all ended: those studies, and all that was trained of it.

    Attributes:
        project: The project.
        key: The program's key, or as much of its beginning as no other has.
    """

    project: str
    key: str


KeptCommand = PinCheckpoint | UnpinCheckpoints | CollectCheckpoints | ForgetProgram
