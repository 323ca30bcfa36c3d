"""Users and projects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened:
    """A project came to be; or somebody of a project first submitted something. Of a project, ``user`` is empty."""

    project: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged:
    """A project or a user was given another weight or other limits; ``allowance`` is all of them."""

    project: str
    user: str
    allowance: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnsBegun:
    """Somebody who had nothing to train has: the turns of the user and of its project move on to those of the others.

    By ``passed`` and ``project_passed``, which are counted as in ``StudyCredited``.
    """

    project: str
    user: str
    passed: int
    project_passed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDeleted:
    """A project without studies was forgotten, with its users."""

    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCredited:
    """Trained steps were counted for a study that had a request open on them, and its part of them was billed.

    What is billed is in microseconds: ``billed`` of a slot, ``billed_gpus`` of its GPUs. By ``passed`` and
    ``project_passed`` the turns of its user and its project move on: see ``hippo_core.engine.turns``. Of a study that
    has been deleted meanwhile only the bill counts.
    """

    study: int
    project: str
    user: str
    steps_trained: int
    steps_retrained: int
    seconds: float
    billed: int
    billed_gpus: int
    passed: int
    project_passed: int


AccountEvent = AccountOpened | AccountChanged | TurnsBegun | ProjectDeleted | StudyCredited
