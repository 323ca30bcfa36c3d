"""Numbers on the command line, refused in words."""

from __future__ import annotations

import math
import os
from typing import Any

import click

#: The largest whole number that the server takes.
LARGEST = 2**63 - 1


class WholeNumber(click.types.IntParamType):
    """A whole number within bounds.

    Args:
        least: The smallest one.
        largest: The largest one; by default the largest that the server takes.
    """

    def __init__(self, least: int, largest: int = LARGEST) -> None:
        self._least, self._largest = least, largest
        endless = largest == LARGEST
        self._bounds = f"of at least {least}" if endless else f"from {least} to {largest}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number.

        Raises:
            BadParameter: It is none, or out of bounds.
        """
        try:
            number = int(value)
        except ValueError:
            number = self._least - 1
        if self._least <= number <= self._largest:
            return number
        bounds = f"of at most {self._largest}" if number > LARGEST else self._bounds
        raise click.BadParameter(
            f"must be a whole number {bounds}, not {value!r}{_source(value, param)}.", ctx, param
        )


class Number(click.types.FloatParamType):
    """A number that is neither infinite nor undefined, within bounds.

    Args:
        least: The smallest one, where there is one.
        above: What it must be larger than, where it must.
    """

    name = "number"

    def __init__(self, least: float | None = None, above: float | None = None) -> None:
        self._least, self._above = least, above
        self._bounds = "" if least is None else f" of at least {least:g}"
        self._bounds += "" if above is None else f" above {above:g}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number.

        Raises:
            BadParameter: It is none, not finite, or out of bounds.
        """
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        low = self._least is not None and number < self._least
        if not math.isfinite(number) or low or (self._above is not None and number <= self._above):
            raise click.BadParameter(
                f"must be a number{self._bounds}, not {value!r}{_source(value, param)}.", ctx, param
            )
        return number


def _source(value: Any, param: click.Parameter | None) -> str:
    """Where a value comes from that nobody has written on the command line."""
    variable = param.envvar if param is not None and isinstance(param.envvar, str) else None
    return f" as {variable} says" if variable and os.environ.get(variable) == value else ""
