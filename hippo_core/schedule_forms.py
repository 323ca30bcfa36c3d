"""What a schedule is: its parameters, the formulas it is made of, its end, its JSON.

A schedule's arguments may be domains, and those of a few schedules are schedules themselves. Drawing
(``hippo_core.drawing``) replaces domains by what was drawn; only a schedule without domains has pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core import arguments
from hippo_core import schedule_arguments as checks
from hippo_core.arguments import suggestion
from hippo_core.domains import Domain, part_to_json
from hippo_core.errors import InvalidStudy
from hippo_core.formulas import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclic,
    Exponential,
    Linear,
    OneCycle,
    Polynomial,
    Ramp,
    StepDecay,
    Table,
)
from hippo_core.laws import Law, make
from hippo_core.schedule_arguments import Arguments, Check
from hippo_core.schedule_pieces import Piece, multistep, one, wsd
from hippo_core.values import Kind

Part = Any
"""What stands in a space: a scalar, a schedule, a domain; outermost also a constraint or a dict of parts."""


@dataclass(frozen=True, slots=True)
class Form:
    """What is particular about one kind of schedule.

    Attributes:
        checks: By parameter, what makes an argument plain or refuses it.
        pieces: The formulas for arguments that hold no domains.
        end: The step at which it has come to its end; None: it has none.
        kind: The kind of its values; None: that of the values written in ``parts``.
        parts: The parameter that holds values, schedules or domains, or a list of them.
        relations: Checks what more than one argument must satisfy.
        alternatives: The parameters of which just one is given.
    """

    checks: Mapping[str, Check]
    pieces: Callable[[Arguments], list[Piece]]
    end: Callable[[Arguments], int | None] = lambda arguments: None
    kind: Kind | None = Kind.FLOAT
    parts: str | None = None
    relations: Callable[[Arguments], None] = lambda arguments: None
    alternatives: tuple[str, ...] = ()

    def needs(self, name: str, given: Arguments) -> bool:
        """Whether a parameter is to be given beside others."""
        return name not in self.alternatives or not any(each in given for each in self.alternatives)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The values of one hyper-parameter over steps. Made by the functions of ``hippo_core.schedules``.

    Args:
        kind: Which one: the function's name.
        arguments: By parameter; domains may stand for values.

    Attributes:
        draws: Whether domains stand in it.
    """

    kind: str
    arguments: Arguments
    draws: bool = field(init=False, compare=False)
    _stretches: dict[Kind, list[tuple[int, Law]]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Checks the arguments that are not drawn, and their relations where none is."""
        form = FORMS[self.kind]
        where = f"schedules.{self.kind}"
        chosen = [name for name in form.alternatives if name in self.arguments]
        if len(chosen) > 1:
            raise InvalidStudy(where, f"takes only one of {' and '.join(chosen)}", f"Leave {chosen[-1]} out.")
        plain = {
            name: check(self.arguments[name], f"{where}.{name}")
            for name, check in form.checks.items()
            if name in self.arguments
        }
        object.__setattr__(self, "arguments", plain)
        object.__setattr__(self, "_stretches", {})
        object.__setattr__(self, "draws", any(_draws(value) for value in plain.values()))
        if not self.draws:
            form.relations(plain)

    @property
    def form(self) -> Form:
        """What is particular about this kind of schedule."""
        return FORMS[self.kind]

    def children(self) -> Iterator[tuple[str, Any]]:
        """Its arguments with their paths: ``period``, ``values/1``."""
        for name, value in self.arguments.items():
            if isinstance(value, tuple):
                for index, each in enumerate(value):
                    yield f"{name}/{index}", each
            else:
                yield name, value

    def mapped(self, function: Callable[[str, Any], Any]) -> Schedule:
        """The same schedule with each argument, at its path, replaced by what a function makes of it."""
        changed: dict[str, Any] = {}
        for name, value in self.arguments.items():
            if isinstance(value, tuple):
                changed[name] = [function(f"{name}/{index}", each) for index, each in enumerate(value)]
            else:
                changed[name] = function(name, value)
        return Schedule(self.kind, changed)

    def stretches(self, kind: Kind) -> list[tuple[int, Law]]:
        """Of a schedule without domains, the laws for a hyper-parameter of some kind, each with its first
        step.

        Raises:
            ValueError: A value cannot be of that kind.
        """
        if kind not in self._stretches:
            self._stretches[kind] = [
                (piece.start, make(piece.formula, piece.origin, piece.rounded, kind))
                for piece in pieces(self)
            ]
        return self._stretches[kind]

    def to_json(self) -> dict[str, Any]:
        """The schedule as a JSON object."""
        return {"schedule": self.kind, **{name: part_to_json(each) for name, each in self.arguments.items()}}


def pieces(value: Any) -> list[Piece]:
    """The formulas that a value or schedule without domains is made of, in order; the first one starts at 0."""
    if isinstance(value, Schedule):
        return value.form.pieces(value.arguments)
    return [Piece(start=0, formula=Constant(value), origin=0)]


def end(value: Any) -> int | None:
    """The step at which a schedule without domains has come to its end; None: it has none."""
    return value.form.end(value.arguments) if isinstance(value, Schedule) else None


def trunk(value: Any) -> int | None:
    """Up to which step a schedule without domains is the same at any longer horizon; None: it has no horizon."""
    if not isinstance(value, Schedule):
        return None
    if "horizon" in value.arguments:
        return sum(checks.wsd_lengths(value.arguments)[:2])
    return trunk(value.arguments["of"]) if value.kind == "rounded" else None


def from_json(json: Mapping[str, Any], where: str) -> Schedule | Any:
    """The schedule of a JSON object with the key ``schedule``, whose arguments have been read already."""
    kind = json["schedule"]
    if kind == "constant" and set(json) == {"schedule", "value"}:
        return json["value"]
    if kind not in tuple(FORMS):
        raise InvalidStudy(where, f"there is no schedule {kind!r}", suggestion(str(kind), FORMS, PEERS))
    names = FORMS[kind].checks
    given = {name: value for name, value in json.items() if name != "schedule"}
    for name in given:
        if name not in names:
            raise InvalidStudy(where, f"{kind} has no argument {name!r}", suggestion(name, names))
    for name in names:
        if name not in given and FORMS[kind].needs(name, given):
            raise InvalidStudy(where, f"{kind} needs the argument {name!r}")
    return Schedule(kind, given)


PEERS = {
    "exp": "exponential",
    "step": "step_decay",
    "cosine_annealing": "cosine",
    "cosine_annealing_warm_restarts": "cosine_restarts",
    "onecycle": "one_cycle",
}


# Checks of arguments


def _draws(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(_draws(each) for each in value)
    return value.draws if isinstance(value, Schedule) else isinstance(value, Domain)


def _part(value: Any, where: str) -> Any:
    if isinstance(value, Schedule | Domain):
        return value
    if isinstance(value, Mapping):
        raise InvalidStudy(where, "must not be a dict", "Dicts are sub-spaces: they stand outside schedules.")
    return arguments.scalar(value, where)


def _parts(value: Any, where: str) -> tuple[Any, ...]:
    return tuple(_part(each, f"{where}[{index}]") for index, each in enumerate(checks.listed(value, where)))


def _rows(value: Any, where: str) -> tuple[Any, ...]:
    rows = _parts(value, where)
    if not rows:
        raise InvalidStudy(where, "must not be empty")
    for index, each in enumerate(rows):
        if isinstance(each, Schedule):
            raise InvalidStudy(f"{where}[{index}]", "must be a value, not a schedule", "Use piecewise.")
    return rows


def _numeric(kind: str, name: str) -> Callable[[Arguments], None]:
    """Checks that a nested schedule gives numbers."""

    def check(found: Arguments) -> None:
        for piece in pieces(found[name]):
            listed = piece.formula.values if isinstance(piece.formula, Table) else ()
            if isinstance(piece.formula, Constant):
                listed = (piece.formula.value,)
            for value in listed:
                arguments.number(value, f"schedules.{kind}.{name}")

    return check


# The formulas that each kind is made of


def _piecewise(found: Arguments) -> list[Piece]:
    starts = (0, *found["milestones"])
    ends = (*found["milestones"], math.inf)
    return [
        piece.moved(first)
        for first, last, part in zip(starts, ends, found["values"], strict=True)
        for piece in pieces(part)
        if first + piece.start < last
    ]


def _warmup(found: Arguments) -> list[Piece]:
    period = found["period"]
    after = pieces(found["after"])
    first = float(checks.number(after[0].raw(0), "schedules.warmup.after"))
    ramp = Piece(start=0, formula=Ramp(found["initial"], first, period), origin=0)
    return [ramp, *(piece.moved(period) for piece in after)]


def _rounded(found: Arguments) -> list[Piece]:
    return [
        Piece(start=each.start, formula=each.formula, origin=each.origin, rounded=True)
        for each in pieces(found["of"])
    ]


# Ends


def _period(found: Arguments) -> int | None:
    period = found["period"]
    assert isinstance(period, int)
    return period


def _end_of_wsd(found: Arguments) -> int | None:
    return sum(checks.wsd_lengths(found))


def _end_of_part(name: str) -> Callable[[Arguments], int | None]:
    def build(found: Arguments) -> int | None:
        if name == "after":
            first, last = found["period"], end(found["after"])
        else:
            first, last = (0, *found["milestones"])[-1], end(found["values"][-1])
        return None if last is None else first + last

    return build


_LINE = {"initial": checks.number, "final": checks.number, "period": checks.count(1)}

FORMS: Mapping[str, Form] = {
    "piecewise": Form(
        {"values": _parts, "milestones": checks.milestones},
        _piecewise,
        end=_end_of_part("values"),
        kind=None,
        parts="values",
        relations=checks.piecewise,
    ),
    "multistep": Form(
        {"initial": checks.number, "gamma": checks.number, "milestones": checks.milestones},
        multistep,
        relations=lambda found: checks.increasing("multistep", found),
    ),
    "step_decay": Form(
        {"initial": checks.number, "gamma": checks.number, "every": checks.count(1)}, one(StepDecay)
    ),
    "exponential": Form({"initial": checks.number, "gamma": checks.number}, one(Exponential)),
    "linear": Form(_LINE, one(Linear), end=_period),
    "polynomial": Form({**_LINE, "power": checks.from_zero}, one(Polynomial), end=_period),
    "cosine": Form(_LINE, one(Cosine), end=_period),
    "cosine_restarts": Form({**_LINE, "multiplier": checks.count(1)}, one(CosineRestarts)),
    "cyclic": Form(
        {"low": checks.number, "high": checks.number, "rise": checks.count(1), "fall": checks.count(1)},
        one(Cyclic),
    ),
    "one_cycle": Form(
        {
            "peak": checks.number,
            "period": checks.count(1),
            "warmup_fraction": checks.fraction,
            "start_divisor": checks.above_zero,
            "end_divisor": checks.above_zero,
        },
        one(OneCycle),
        end=_period,
    ),
    "warmup": Form(
        {"period": checks.count(1), "after": _part, "initial": checks.number},
        _warmup,
        end=_end_of_part("after"),
        parts="after",
        relations=_numeric("warmup", "after"),
    ),
    "wsd": Form(
        {
            "peak": checks.number,
            "warmup": checks.count(0),
            "stable": checks.count(0),
            "decay": checks.count_or_share,
            "final": checks.number,
            "horizon": checks.count(1),
        },
        wsd,
        end=_end_of_wsd,
        relations=checks.wsd,
        alternatives=("stable", "horizon"),
    ),
    "table": Form(
        {"values": _rows},
        one(Table),
        end=lambda found: len(found["values"]),
        kind=None,
        parts="values",
    ),
    "rounded": Form(
        {"of": _part},  # not `schedule`: that word marks a schedule in JSON
        _rounded,
        kind=Kind.INT,
        parts="of",
        relations=_numeric("rounded", "of"),
    ),
}
