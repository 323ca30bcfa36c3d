"""Whole numbers on the command line, refused in words."""

from __future__ import annotations

import os
from typing import Any

import click


class WholeNumber(click.IntRange):
    """A whole number within bounds.

    Args:
        least: The smallest one.
        largest: The largest one, where there is one.
    """

    def __init__(self, least: int, largest: int | None = None) -> None:
        super().__init__(least, largest)
        self._bounds = f"of at least {least}" if largest is None else f"from {least} to {largest}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number.

        Raises:
            BadParameter: It is none, or out of bounds.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            words = f"must be a whole number {self._bounds}, not {value!r}{_source(value, param)}."
            self.fail(words, param, ctx)


def _source(value: Any, param: click.Parameter | None) -> str:
    """Where a value comes from that nobody has written on the command line."""
    variable = param.envvar if param is not None and isinstance(param.envvar, str) else None
    return f" as {variable} says" if variable and os.environ.get(variable) == value else ""
