"""Checks of schedules' arguments: each makes one plain, lets a domain stand for it, or refuses it in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from hippo_core import arguments
from hippo_core.domains import Domain, NumericDomain
from hippo_core.errors import InvalidStudy
from hippo_core.values import Kind

Check = Callable[[Any, str], Any]
Arguments = Mapping[str, Any]

SHOWN_BESIDE = 4  #: entries of a list on each side of one that is wrong
_FIRST_MILESTONE = (
    "Leave it out: a milestone is the first step of what comes next, and step 0 has its value already."
)


def number(value: Any, where: str) -> Any:
    """A finite number, as a float; or a domain."""
    return value if isinstance(value, Domain) else arguments.number(value, where)


def count(least: int) -> Check:
    """Checks for an int of at least ``least``, or a domain of ints."""

    def check(value: Any, where: str) -> Any:
        if not isinstance(value, Domain):
            return arguments.integer(value, where, least)
        if isinstance(value, NumericDomain) and value.kind is not Kind.INT:
            raise InvalidStudy(where, "must be an int, but floats are drawn for it", "Use space.integer.")
        return value

    return check


def count_or_share(value: Any, where: str) -> Any:
    """An int from 0 on, or a float from 0 to 1, which is a share of the horizon; or a domain."""
    if isinstance(value, float):
        return fraction(value, where)
    return value if isinstance(value, Domain) else arguments.integer(value, where, 0)


def above_zero(value: Any, where: str) -> Any:
    """A number above 0."""
    found = number(value, where)
    if isinstance(found, float) and found <= 0:
        raise InvalidStudy(where, f"must be above 0, not {found}", "Give a number above 0.")
    return found


def from_zero(value: Any, where: str) -> Any:
    """A number from 0 on."""
    found = number(value, where)
    if isinstance(found, float) and found < 0:
        raise InvalidStudy(where, f"must be at least 0, not {found}", "Give 0 or more.")
    return found


def fraction(value: Any, where: str) -> Any:
    """A number from 0 to 1."""
    found = number(value, where)
    if isinstance(found, float) and not 0 <= found <= 1:
        raise InvalidStudy(where, f"must be from 0 to 1, not {found}", "Give a number from 0 to 1.")
    return found


def listed(value: Any, where: str) -> tuple[Any, ...]:
    """The parts of a list, tuple, range or array."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InvalidStudy(where, f"must be a list, not {value!r}", "Write [...] around it.")
    return tuple(value)


def milestones(value: Any, where: str) -> tuple[Any, ...]:
    """A list of steps from 1 on."""
    found: list[Any] = []
    steps = listed(value, where)
    for index, each in enumerate(steps):
        if not isinstance(each, Domain):
            each = arguments.integer(each, f"{where}[{index}]")
            if each < 1:
                raise InvalidStudy(
                    where, f"must be steps from 1 on, not {each}: {_marked(steps, index)}", _FIRST_MILESTONE
                )
        found.append(each)
    return tuple(found)


def _marked(steps: Sequence[Any], index: int) -> str:
    """A list in which one entry is marked, with its neighbours where it is long."""
    first, last = max(index - SHOWN_BESIDE, 0), index + SHOWN_BESIDE + 1
    shown = [f">{each!r}<" if at == index else repr(each) for at, each in enumerate(steps)][first:last]
    before, after = ["..."] if first else [], ["..."] if last < len(steps) else []
    return f"[{', '.join([*before, *shown, *after])}]"


def increasing(kind: str, found: Arguments) -> None:
    """That the milestones increase."""
    steps = found["milestones"]
    for index, (before, after) in enumerate(pairwise(steps), start=1):
        if before >= after:
            raise InvalidStudy(
                f"schedules.{kind}.milestones",
                f"must increase, but {after} follows {before}: {_marked(steps, index)}",
                f"Write {sorted(set(steps))}."
                if len(steps) <= 2 * SHOWN_BESIDE
                else "List each once, in order.",
            )


def piecewise(found: Arguments) -> None:
    """That there is a value for each stretch between milestones."""
    increasing("piecewise", found)
    values, steps = len(found["values"]), len(found["milestones"])
    if values != steps + 1:
        raise InvalidStudy(
            "schedules.piecewise.values",
            f"needs one value more than there are milestones: {steps + 1}, not {values}",
            "values[0] holds from step 0, values[i] from milestones[i - 1] on.",
        )


def wsd_decay(decay: float, horizon: int) -> int:
    """Steps of a decay: a float is a share of the horizon."""
    return round(decay * horizon) if isinstance(decay, float) else decay


def wsd_lengths(found: Arguments) -> tuple[int, int, int]:
    """Steps of warm-up, of the stable part, which may be what the horizon leaves, and of the decay."""
    warmup, decay = found["warmup"], found["decay"]
    if "stable" in found:
        return warmup, found["stable"], decay
    horizon = found["horizon"]
    steps = wsd_decay(decay, horizon)
    return warmup, horizon - warmup - steps, steps


def wsd(found: Arguments) -> None:
    """That the stable part is what is written, or what the horizon leaves of itself."""
    where = "schedules.wsd"
    warmup, stable, decay = wsd_lengths(found)
    if "stable" in found and isinstance(decay, float):
        raise InvalidStudy(
            f"{where}.decay",
            f"{decay} is a share of the horizon, but the length follows from stable={stable}",
            "Give decay in steps, or leave stable out.",
        )
    if stable < 0:
        raise InvalidStudy(
            where,
            f"warmup {warmup} and decay {decay} are more steps than its horizon, {found['horizon']}",
            "Give a longer horizon, or a shorter warmup or decay.",
        )
