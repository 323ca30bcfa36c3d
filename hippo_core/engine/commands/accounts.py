"""Users and projects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProject:
    """Open a project, unless it is there."""

    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteProject:
    """Forget a project that has no studies."""

    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAccount:
    """Give a project, or a user of it, another weight or other limits.

    Attributes:
        project: The project.
        user: The user; empty: the project itself.
        changes: Fields of an ``Allowance`` and their values; what is not named stays.
    """

    project: str
    user: str
    changes: Json


AccountCommand = CreateProject | DeleteProject | ChangeAccount
