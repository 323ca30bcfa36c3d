"""What can be said of a space before anything is drawn: names, kinds, and whether it can go wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hippo_core import schedule_forms
from hippo_core.constraints import Constraint
from hippo_core.domains import Choice, Domain, NumericDomain
from hippo_core.errors import InvalidStudy
from hippo_core.schedule_forms import Part, Schedule
from hippo_core.values import Kind

Entries = Mapping[str, Part]


def leaves(entries: Entries, prefix: str = "") -> Iterator[tuple[str, Part]]:
    """All hyper-parameters that some trial has, by full name; one name once for each branch that has it."""
    for name, part in entries.items():
        if is_branching(part):
            for option in part.options:
                yield from leaves(option, f"{prefix}{name}.")
        elif not isinstance(part, Constraint):
            yield prefix + name, part


def is_branching(part: Part) -> bool:
    """Whether it is a choice among dicts: a conditional sub-space."""
    return isinstance(part, Choice) and isinstance(part.options[0], Mapping)


def kinds_of(entries: Entries) -> dict[str, Kind]:
    """The kind of every hyper-parameter, by full name, sorted.

    Raises:
        InvalidStudy: A schedule that scales or interpolates would be given what is no number.
    """
    found: dict[str, set[Kind]] = {}
    for name, part in leaves(entries):
        found.setdefault(name, set()).update(_kinds(part, f"space[{name!r}]"))
    return {name: _kind(found[name]) for name in sorted(found)}


def _kinds(part: Part, where: str) -> set[Kind]:
    """The kinds of all values that may be handed out for a part."""
    if isinstance(part, Schedule):
        form = part.form
        parts = part.arguments[form.parts] if form.parts else ()
        found: set[Kind] = set()
        for each in parts if isinstance(parts, tuple) else (parts,):
            found |= _kinds(each, where)
        if form.kind is None:
            return found
        if Kind.CATEGORICAL in found:
            raise InvalidStudy(
                where, f"{part.kind} needs numbers", "Text, bool, None and tuples are no numbers."
            )
        return {form.kind}
    if isinstance(part, Choice):
        found = set()
        for option in part.options:
            found |= _kinds(option, where)
        if part.type is None:
            return found
        if not found <= {Kind.INT, part.type}:
            raise InvalidStudy(where, f"not all options are of type {part.type}", "Leave type= out.")
        return {part.type}
    if isinstance(part, NumericDomain):
        return {part.kind}
    if isinstance(part, bool) or not isinstance(part, int | float):
        return {Kind.CATEGORICAL}
    return {Kind.INT if isinstance(part, int) else Kind.FLOAT}


def _kind(found: set[Kind]) -> Kind:
    if Kind.CATEGORICAL in found:
        return Kind.CATEGORICAL
    return Kind.FLOAT if Kind.FLOAT in found else Kind.INT


def always_valid(part: Part) -> bool:
    """Whether whatever is drawn, schedules accept it and are finite at every step."""
    if isinstance(part, Choice):
        return all(always_valid(option) for option in part.options)
    if isinstance(part, Mapping):
        return all(always_valid(each) for each in part.values())
    if not isinstance(part, Schedule):
        return True
    if not part.draws:
        return all(piece.formula.always_finite() for piece in schedule_forms.pieces(part))
    # Values that are drawn for a list of values cannot be wrong; other arguments may be.
    return part.form.kind is None and all(
        always_valid(each) and (not isinstance(each, Domain) or path.startswith("values/"))
        for path, each in part.children()
    )


def is_numeric(part: Part) -> bool:
    """Whether it is a plain number whatever is drawn."""
    if isinstance(part, Choice):
        return all(is_numeric(option) for option in part.options)
    return isinstance(part, Domain) or (isinstance(part, int | float) and not isinstance(part, bool))
