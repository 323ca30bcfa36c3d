"""Points that a person writes: one value for each hyper-parameter, as a trial has them, read as an assignment.

A value stands for a draw: a number for a domain of numbers, an option as it is written for a choice, a schedule with
its numbers for one with domains in it. ``trial.hyperparameters`` of an earlier trial can be given back as it is, unless
it was forked: its schedules join the parent's with what was changed, and are no part of the space.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hippo_core.arguments import integer, number, scalar, suggestion
from hippo_core.constraints import Constraint
from hippo_core.domains import HORIZON, Choice, Domain, Horizon, Integer, Stepped, part_to_json
from hippo_core.drawing import Entries, name_of
from hippo_core.errors import InvalidStudy
from hippo_core.kinds import is_branching
from hippo_core.schedule_forms import Part, Schedule
from hippo_core.space import Space
from hippo_core.space_reading import part_from_json
from hippo_core.values import Scalar, normalise_float, scalar_from_json, scalar_to_json, typed

_FORKED = "The schedules of a forked trial are no part of the space: give what held before or after the fork."

Given = Mapping[str, Any]
Draws = dict[str, Scalar]


def read_point(space: Space, point: Any, where: str) -> dict[str, Scalar]:
    """What is drawn at a point.

    Args:
        space: What is searched.
        point: By hyper-parameter, nested or with dots: its value. Those without domains may be left out.
        where: Its place, for messages: ``initial[0]``.

    Raises:
        InvalidStudy: It is no point of the space.
    """
    if not isinstance(point, Mapping):
        raise InvalidStudy(where, f"must be a dict by hyper-parameter, not {point!r}")
    given = dict(_flat(point, "", where))
    try:
        draws, used = _read_entries(space.entries, "", given, where)
    except InvalidStudy as error:
        raise _with_unknown(error, space, given) from None
    for name in given:
        if name not in used:
            hint = suggestion(name, sorted(space.kinds))
            raise InvalidStudy(f"{where}[{name!r}]", "a trial there has no such hyper-parameter", hint)
    try:
        return space.checked(draws)
    except InvalidStudy as error:
        raise InvalidStudy(where, error.message.partition(": ")[2], error.hint) from None


def _with_unknown(error: InvalidStudy, space: Space, given: Given) -> InvalidStudy:
    """The error, and which names the space has not: one of them may be meant for what is missing."""
    unknown = [name for name in given if name not in space.kinds]
    if not unknown:
        return error
    message = error.message.removeprefix(f"{error.field}: ")
    named = ", ".join(repr(name) for name in unknown)
    return InvalidStudy(
        error.field,
        f"{message}; and there is no hyper-parameter {named}",
        suggestion(unknown[0], sorted(space.kinds)),
    )


def point_to_json(point: Any, where: str) -> dict[str, Any]:
    """A point as JSON that :func:`read_point` reads as the same one.

    Args:
        point: By hyper-parameter, nested or with dots: its value.
        where: Its place, for messages.

    Raises:
        InvalidStudy: It is no dict, or something in it is neither a value nor a schedule.
    """
    if not isinstance(point, Mapping):
        raise InvalidStudy(where, f"must be a dict by hyper-parameter, not {point!r}")
    return {name: _part_to_json(part, f"{where}[{name!r}]") for name, part in point.items()}


def _part_to_json(part: Any, place: str) -> Any:
    if isinstance(part, Schedule):
        return part.to_json()
    if isinstance(part, Mapping):
        return {name: _part_to_json(each, place) for name, each in part.items()}
    if isinstance(part, list | tuple):
        return [_part_to_json(each, place) for each in part]
    return scalar_to_json(scalar(part, place))


def _flat(point: Mapping[Any, Any], prefix: str, where: str) -> Iterator[tuple[str, Any]]:
    """Names joined with dots, and what stands there."""
    for key, value in point.items():
        if not isinstance(key, str):
            raise InvalidStudy(where, f"names are text, not {key!r}")
        if isinstance(value, Mapping) and "schedule" not in value and set(value) != {"float"}:
            yield from _flat(value, f"{prefix}{key}.", where)
        else:
            yield prefix + key, value


def _read_entries(entries: Entries, prefix: str, given: Given, where: str) -> tuple[Draws, set[str]]:
    """The draws of all hyper-parameters below a prefix, and which names they used."""
    draws: Draws = {}
    used: set[str] = set()
    for key, part in entries.items():
        name, place = prefix + key, f"{where}[{prefix + key!r}]"
        if isinstance(part, Constraint):
            continue
        if is_branching(part):
            found, names = _read_branch(part, f"{name}.", given, where)
            used |= names
        elif name in given:
            found = _read_part(part, _value(given[name], place), place)
            used.add(name)
        elif _draws(part):
            raise InvalidStudy(
                place, "is missing", "A point has a value for each hyper-parameter that is searched."
            )
        else:
            continue
        _merge(draws, found, place)
    return draws, used


def _read_branch(choice: Choice, prefix: str, given: Given, where: str) -> tuple[Draws, set[str]]:
    """The first sub-space that has all that is given below its prefix."""
    below = {name for name in given if name.startswith(prefix)}
    misfits = []
    for index, option in enumerate(choice.options):
        try:
            draws, used = _read_entries(option, prefix, given, where)
        except InvalidStudy as error:
            misfits.append(error.message)
            continue
        if below <= used:
            _merge(draws, {name_of(choice): index}, where)
            return draws, used
    shown = f": {misfits[0]}" if len(misfits) == len(choice.options) == 1 else ""
    raise InvalidStudy(
        f"{where}[{prefix[:-1]!r}]",
        f"what is given fits none of its sub-spaces{shown}",
        "Give one of them whole.",
    )


def _value(value: Any, place: str) -> Part:
    """A value as written, or as JSON."""
    if isinstance(value, Schedule):
        return value
    if isinstance(value, Mapping) and "schedule" in value:
        return part_from_json(value, place)
    if isinstance(value, list | Mapping):
        try:
            return scalar_from_json(value)
        except ValueError as error:
            raise InvalidStudy(place, str(error)) from None
    return scalar(value, place)


def _read_part(part: Part, value: Part, place: str) -> Draws:
    if isinstance(part, Choice):
        return _read_choice(part, value, place)
    if isinstance(part, Horizon):
        return {} if isinstance(value, Horizon) else {HORIZON: integer(value, place, 1)}
    if isinstance(part, Domain):
        return {name_of(part): _read_number(part, value, place)}
    if isinstance(part, Schedule):
        return _read_schedule(part, value, place)
    if not _equal(part, value):
        raise InvalidStudy(place, f"is {part!r} in every trial, not {value!r}", "Leave it out.")
    return {}


def _read_choice(choice: Choice, value: Part, place: str) -> Draws:
    for index, option in enumerate(choice.options):
        try:
            draws = _read_part(option, value, place)
            _merge(draws, {name_of(choice): index}, place)
        except InvalidStudy:
            continue
        return draws
    hint = (
        f"Write it as in the space. {_FORKED}" if isinstance(value, Schedule) else "Write it as in the space."
    )
    raise InvalidStudy(place, f"{_shown(value)} is none of its options", hint)


def _read_number(domain: Domain, value: Part, place: str) -> Scalar:
    if isinstance(value, Schedule):
        raise InvalidStudy(place, f"{_shown(value)} is no number, as the space has one here", _FORKED)
    if isinstance(domain, Integer):
        found: Scalar = int(value) if isinstance(value, float) and value.is_integer() else value
    else:
        found = normalise_float(number(value, place))
    if isinstance(domain, Stepped):
        assert domain.size is not None
        assert isinstance(found, float)
        index = min(max(round((found - domain.low) / domain.q), 0), domain.size - 1)
        if normalise_float(float(domain.item(index))) != found:  # type: ignore[arg-type]
            raise InvalidStudy(
                place, f"{found!r} is none of {domain.low} + k * {domain.q} up to {domain.high}"
            )
        return domain.item(index)
    if not domain.holds(found):
        low, high = getattr(domain, "low"), getattr(domain, "high")  # noqa: B009
        raise InvalidStudy(place, f"{_shown(value)} is not within {low} and {high}")
    return found


def _read_schedule(part: Schedule, value: Part, place: str) -> Draws:
    ours = dict(part.children())
    theirs = dict(value.children()) if isinstance(value, Schedule) and value.kind == part.kind else None
    if theirs is None or ours.keys() != theirs.keys():
        hint = _FORKED if isinstance(value, Schedule) else f"Write it like {json.dumps(_example(part))}."
        raise InvalidStudy(place, f"{_shown(value)} is not a {part.kind} as in the space", hint)
    draws: Draws = {}
    for path, each in ours.items():
        if not isinstance(each, Choice | Domain | Schedule) and not _equal(each, theirs[path]):
            raise InvalidStudy(
                place,
                f"its {path} is {each!r} in every trial, not {_shown(theirs[path])}",
                f"Write {each!r} there, as in the space.",
            )
        _merge(draws, _read_part(each, theirs[path], place), place)
    return draws


def _example(part: Any) -> Any:
    """A value of a part of the space as JSON: the lowest number, the first option."""
    if isinstance(part, Schedule):
        return {"schedule": part.kind, **{name: _example(each) for name, each in part.arguments.items()}}
    if isinstance(part, Choice):
        return _example(part.options[0])
    if isinstance(part, tuple | list):
        return [_example(each) for each in part]
    return getattr(part, "low") if hasattr(part, "low") else part_to_json(part)  # noqa: B009


def _merge(draws: Draws, further: Mapping[str, Scalar], place: str) -> None:
    for name, value in further.items():
        if draws.setdefault(name, value) != value:
            raise InvalidStudy(
                place, f"{name!r} is one draw, but is given as {draws[name]!r} and as {value!r}"
            )


def _draws(part: Part) -> bool:
    if isinstance(part, Schedule):
        return any(_draws(each) for _, each in part.children())
    return isinstance(part, Domain) and not isinstance(part, Horizon)


def _equal(one: Part, other: Part) -> bool:
    """Whether two values are equal, 1 and 1.0 among them, but not 1 and True."""
    numbers = [isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other)]
    if all(numbers):
        return bool(one == other)
    return bool(typed(one) == typed(other))


def _shown(value: Part) -> str:
    return f"this {value.kind}" if isinstance(value, Schedule) else repr(value)
