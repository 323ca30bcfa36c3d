"""Checks that a state is followed only by one that its table names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from hippo_core.errors import InvariantViolated

S = TypeVar("S", bound=StrEnum)


def follow(table: Mapping[S, frozenset[S]], before: S, after: S) -> None:
    """A state may only be followed by one that the table names, or by itself with another reason."""
    if after != before and after not in table.get(before, frozenset()):
        raise InvariantViolated(f"{type(before).__name__}: {before.value} is not followed by {after.value}")
