"""How domains are written: the functions of ``hippo_client.space``, with checks that name what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.domains import Choice, Horizon, Integer, Stepped, Uniform, part_to_json
from hippo_core.errors import InvalidStudy
from hippo_core.values import Kind

BOUNDS = {"lower": "low", "upper": "high", "min": "low", "max": "high"}
OPTIONS = {"values": "options", "choices": "options", "categories": "options", "sequence": "options"}


def _name(name: Any, where: str) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not name or not name.isprintable():
        raise InvalidStudy(f"{where}.name", f"must be text that is not empty, not {name!r}")
    return name


@worded("space.choice", OPTIONS)
def choice(options: Sequence[Any], type: type | None = None, name: str | None = None) -> Choice:
    """One of several options.

    Args:
        options: Values, schedules or domains; or dicts, each a sub-space whose names are joined with a dot. What is
            written twice is one option, and a warning; 1, 1.0 and True are three.
        type: ``float`` hands out every number as a float, ``int`` allows only ints. By default it
            follows from all that is written for the hyper-parameter.
        name: The name of the draw; by default its place in the space.
    """
    where = "space.choice"
    if hasattr(options, "tolist"):  # an array
        options = options.tolist()
    if isinstance(options, str | bytes | Mapping) or not isinstance(options, Sequence):
        raise InvalidStudy(
            f"{where}.options", f"must be a list, not {options!r}", "Write space.choice([...])."
        )
    if not options:
        raise InvalidStudy(f"{where}.options", "must not be empty", "Write space.choice([...]).")
    kinds = {None: None, float: Kind.FLOAT, int: Kind.INT}
    if type not in kinds:
        raise InvalidStudy(f"{where}.type", f"must be float or int, not {type!r}", "Leave it out otherwise.")
    distinct, merged = _merged(options)
    return Choice(options=distinct, type=kinds[type], name=_name(name, where), merged=merged)


def _merged(options: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The options without those that equal an earlier one as written, and these."""
    seen: set[str] = set()
    distinct: list[Any] = []
    twice: list[Any] = []
    for option in options:
        try:
            # Their JSON tells 1, 1.0 and true apart.
            written = json.dumps(part_to_json(option), sort_keys=True)
        except (TypeError, ValueError, RecursionError):  # no value: the space refuses it in words
            distinct.append(option)
            continue
        (twice if written in seen else distinct).append(option)
        seen.add(written)
    return tuple(distinct), tuple(twice)


def _bounds(low: Any, high: Any, where: str) -> tuple[float, float]:
    least, most = arguments.number(low, f"{where}.low"), arguments.number(high, f"{where}.high")
    if least >= most:
        remedy = (
            "Write a plain number for a single value."
            if least == most
            else f"Write {where}({most}, {least})."
        )
        raise InvalidStudy(f"{where}.high", f"must be above low, {least}, not {most}", remedy)
    if not math.isfinite(most - least):
        raise InvalidStudy(f"{where}.high", f"is too far from low, {least}: {most}")
    return least, most


@worded("space.uniform", BOUNDS)
def uniform(low: float, high: float, name: str | None = None) -> Uniform:
    """Floats from ``low`` to ``high``, equally likely."""
    least, most = _bounds(low, high, "space.uniform")
    return Uniform(low=least, high=most, name=_name(name, "space.uniform"))


@worded("space.loguniform", BOUNDS)
def loguniform(low: float, high: float, name: str | None = None) -> Uniform:
    """Floats from ``low``, which is above 0, to ``high``, whose logarithms are equally likely."""
    least, most = _bounds(low, high, "space.loguniform")
    if least <= 0:
        raise InvalidStudy(
            "space.loguniform.low",
            f"must be above 0, not {least}",
            "Give a low above 0, or use space.uniform.",
        )
    return Uniform(low=least, high=most, log=True, name=_name(name, "space.loguniform"))


@worded("space.quniform", {**BOUNDS, "step": "q"})
def quniform(low: float, high: float, q: float, name: str | None = None) -> Stepped:
    """The floats ``low``, ``low + q``, ``low + 2 q``, ... up to ``high``, equally likely."""
    least, most = _bounds(low, high, "space.quniform")
    step = arguments.number(q, "space.quniform.q")
    if step <= 0:
        raise InvalidStudy("space.quniform.q", f"must be above 0, not {step}", "Give a step above 0.")
    if step > (most - least) * (1 + 1e-12):
        raise InvalidStudy(
            "space.quniform.q",
            f"{step} is more than the span from low, {least}, to high, {most}",
            "Give a smaller step, or write a plain number for a single value.",
        )
    if (most - least) / step > 2**53:
        raise InvalidStudy("space.quniform.q", f"{step} is too small", "Use space.uniform(low, high).")
    return Stepped(low=least, high=most, q=step, name=_name(name, "space.quniform"))


def _int_bounds(low: Any, high: Any, where: str, least: int | None) -> tuple[int, int]:
    first = arguments.integer(low, f"{where}.low", least)
    last = arguments.integer(high, f"{where}.high")
    if first > last:
        raise InvalidStudy(
            f"{where}.high", f"must be at least low, {first}, not {last}", f"Write {where}({last}, {first})."
        )
    if last - first >= 2**53:
        raise InvalidStudy(f"{where}.high", f"is too far from low, {first}: {last}")
    return first, last


@worded("space.integer", BOUNDS)
def integer(low: int, high: int, name: str | None = None) -> Integer:
    """The ints from ``low`` to ``high``, both included, equally likely."""
    first, last = _int_bounds(low, high, "space.integer", None)
    return Integer(low=first, high=last, name=_name(name, "space.integer"))


@worded("space.logint", BOUNDS)
def logint(low: int, high: int, name: str | None = None) -> Integer:
    """The ints from ``low``, at least 1, to ``high``, both included, small ones more likely."""
    first, last = _int_bounds(low, high, "space.logint", 1)
    return Integer(low=first, high=last, log=True, name=_name(name, "space.logint"))


@worded("space.horizon")
def horizon() -> Horizon:
    """The length that a trial has among its study's horizons."""
    return Horizon()


DOMAINS = {
    "horizon": horizon,
    "choice": choice,
    "uniform": uniform,
    "loguniform": loguniform,
    "quniform": quniform,
    "integer": integer,
    "logint": logint,
}
