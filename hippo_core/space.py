"""Spaces: what is searched. Named hyper-parameters with values, schedules and domains.

A space is kept in canonical form: nested dicts are flattened to names joined with a dot, names are sorted
(JSON stores do not keep an order), and every domain has its name. One name is one draw, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Self

from hippo_core import schedule_forms
from hippo_core.arguments import scalar, suggestion, worded
from hippo_core.domains import DOMAINS, Choice, Domain, part_to_json
from hippo_core.domains import choice as choice
from hippo_core.domains import integer as integer
from hippo_core.domains import logint as logint
from hippo_core.domains import loguniform as loguniform
from hippo_core.domains import quniform as quniform
from hippo_core.domains import uniform as uniform
from hippo_core.errors import InvalidStudy
from hippo_core.schedule_forms import Schedule
from hippo_core.values import Kind, Scalar, scalar_from_json

Assignment = Mapping[str, Scalar]
Part = Any  # a scalar, a schedule, a domain; at the top also a dict

MARKS = ("schedule", "domain")
RESERVED = (*MARKS, "float")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndOf:
    """The end of a hyper-parameter's schedule, as ``max_steps``."""

    name: str


@worded("space.end_of")
def end_of(name: str) -> EndOf:
    """Each trial is trained to the end of its schedule of this name.

    linear, polynomial, cosine, one_cycle, from_function: the period. wsd: the sum of its parts. table: its
    length.
    warmup: its period + the end of ``after``. piecewise: the last milestone + the end of the last part.
    Others have no end.
    """
    if not isinstance(name, str) or not name:
        raise InvalidStudy("space.end_of.name", f"must be a hyper-parameter's name, not {name!r}")
    return EndOf(name=name)


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """What is searched, in canonical form.

    Args:
        entries: As a person writes it: by name, values, schedules, domains, or dicts of these.

    Attributes:
        entries: By full name, sorted.
        domains: All domains by name; no order.
        kinds: The kind of every hyper-parameter that some trial has, by name, sorted.
    """

    entries: Mapping[str, Part]
    domains: Mapping[str, Domain] = field(init=False)
    kinds: Mapping[str, Kind] = field(init=False)
    _listed: list[dict[str, Scalar]] = field(init=False, repr=False)
    _unlisted: Iterator[dict[str, Scalar]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Flattens, names and checks."""
        if not isinstance(self.entries, Mapping):
            raise InvalidStudy("space", f"must be a dict by name, not {self.entries!r}")
        naming = _Naming({}, {}, {})
        entries = _flattened(self.entries, "", "space", naming.named)
        object.__setattr__(self, "entries", entries)
        object.__setattr__(self, "domains", naming.domains)
        kinds: dict[str, set[Kind]] = {}
        _collect_kinds(entries, kinds)
        object.__setattr__(self, "kinds", {name: _kind(kinds[name]) for name in sorted(kinds)})
        object.__setattr__(self, "_listed", [])
        object.__setattr__(self, "_unlisted", self.assignments())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> dict[str, Any]:
        """The space as a JSON object."""
        return {name: part_to_json(part) for name, part in self.entries.items()}

    @classmethod
    def from_json(cls, json: Any) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            InvalidStudy: It is not the JSON of a space.
        """
        if not isinstance(json, Mapping):
            raise InvalidStudy("space", f"must be a JSON object by name, not {json!r}")
        return cls({name: _from_json(part, f"space[{name!r}]") for name, part in json.items()})

    def unlistable(self) -> Domain | None:
        """A domain that has too many values to list, if there is one: then the space is not finite."""
        return next((each for _, each in sorted(self.domains.items()) if each.size is None), None)

    def always_valid(self) -> bool:
        """Whether provably every assignment gives schedules that are right, and finite at every step."""
        return all(_always_valid(part) for part in self.entries.values())

    def assignments(self) -> Iterator[dict[str, Scalar]]:
        """Of a finite space, all assignments: names in order, the last domain's values change fastest."""
        return _assignments((_Top(self.entries), None), {})

    def assignment(self, number: int) -> Assignment | None:
        """Of a finite space, assignment ``number`` from 0; None where there are not so many."""
        missing = number + 1 - len(self._listed)
        if missing > 0:
            self._listed.extend(islice(self._unlisted, missing))
        return self._listed[number] if number < len(self._listed) else None

    def draw(self, uniform: Callable[[str], float]) -> dict[str, Scalar]:
        """One assignment.

        Args:
            uniform: A number from [0, 1) for a domain's name.
        """
        drawn: dict[str, Scalar] = {}

        def decide(domain: Domain) -> Scalar:
            name = _name_of(domain)
            if name not in drawn:
                drawn[name] = domain.draw(uniform(name))
            return drawn[name]

        self._resolve(decide)
        return drawn

    def resolve(self, assignment: Assignment) -> dict[str, Part]:
        """The hyper-parameters of a trial: values and schedules without domains, by name, sorted.

        Args:
            assignment: What was drawn, by the domains' names.

        Raises:
            InvalidStudy: A draw is missing or impossible, or a schedule refuses what was drawn for it.
        """

        def decide(domain: Domain) -> Scalar:
            name = _name_of(domain)
            if name not in assignment or not domain.holds(assignment[name]):
                drawn = assignment.get(name, "nothing")
                raise InvalidStudy(f"assignment[{name!r}]", f"{drawn!r} cannot be drawn")
            return assignment[name]

        return self._resolve(decide)

    def _resolve(self, decide: Callable[[Domain], Scalar]) -> dict[str, Part]:
        found: dict[str, Part] = {}

        def collect(entries: Mapping[str, Part], prefix: str) -> None:
            for key, part in entries.items():
                chosen = _resolved(part, decide)
                if isinstance(chosen, Mapping):
                    collect(chosen, f"{prefix}{key}.")
                else:
                    found[prefix + key] = chosen

        collect(self.entries, "")
        return dict(sorted(found.items()))


def _name_of(domain: Domain) -> str:
    assert domain.name is not None, "domains of a space have names"
    return domain.name


# Canonical form


@dataclass(slots=True)
class _Naming:
    """Gives every domain its name.

    Attributes:
        domains: Named domains, by name.
        names: Names by the identity of the domain as written, so that the same object is one draw.
        written: The domains as written, kept so that an identity is not used twice.
    """

    domains: dict[str, Domain]
    names: dict[int, str]
    written: dict[int, Domain]

    def named(self, part: Part, path: str, where: str, inside: bool = False) -> Part:
        """The part in canonical form.

        Args:
            part: As written.
            path: Its place, for names.
            where: Its place, for messages.
            inside: Whether it stands in a schedule or choice, where no sub-space can.
        """
        if isinstance(part, Schedule):
            return part.mapped(lambda step, each: self.named(each, f"{path}/{step}", where, inside=True))
        if not isinstance(part, Domain):
            if isinstance(part, Mapping):
                raise InvalidStudy(
                    where, f"a dict cannot stand at {path}", "Sub-spaces stand outside schedules."
                )
            return scalar(part, where)
        self.written[id(part)] = part
        name = part.name or self.names.get(id(part)) or path
        self.names[id(part)] = name
        named = part.renamed(name)
        if isinstance(named, Choice):
            named = replace(named, options=self._options(named, part.name or path, where, inside))
        known = self.domains.setdefault(name, named)
        if part_to_json(known) != part_to_json(named):
            raise InvalidStudy(
                where,
                f"two different domains are named {name!r}",
                "One name is one draw: give one of them another name=.",
            )
        return named

    def _options(self, choice: Choice, path: str, where: str, inside: bool) -> tuple[Part, ...]:
        # Paths go on from a name that was given, so that another choice of that name has the same ones.
        dicts = [isinstance(option, Mapping) and not _is_form(option) for option in choice.options]
        if any(dicts) and (not all(dicts) or choice.type is not None):
            raise InvalidStudy(
                where,
                f"the options at {path} are partly dicts, or dicts with a type",
                "A choice among dicts has only dicts: write {} for a sub-space without names.",
            )
        if any(dicts) and inside:
            raise InvalidStudy(where, f"a dict cannot stand at {path}", "Sub-spaces stand outside schedules.")
        options = []
        for index, option in enumerate(choice.options):
            if dicts[index]:
                options.append(_flattened(option, f"{path}/{index}.", where, self.named))
            else:
                options.append(self.named(_read_form(option, where), f"{path}/{index}", where, inside=True))
        return tuple(options)


def _flattened(
    entries: Mapping[Any, Any], prefix: str, where: str, named: Callable[[Part, str, str], Part]
) -> dict[str, Part]:
    """Joins the names of nested dicts with dots, and sorts them."""
    found: dict[str, Part] = {}
    written = sorted(_joined(entries, "", where), key=lambda item: item[0])
    for name, part in written:
        if name in found:
            raise InvalidStudy(where, f"the name {name!r} stands there twice")
        place = f"{where}[{name!r}]" if where == "space" else where
        found[name] = named(part, f"{prefix}{name}", place)
    seen: set[str] = set()
    for name, part in found.items():
        for leaf in sorted(_leaf_names({name: part}, "")):
            if leaf in seen:
                raise InvalidStudy(where, f"the name {leaf!r} stands there twice")
            seen.add(leaf)
    for leaf in sorted(seen):
        parent = leaf.rpartition(".")[0]
        while parent:
            if parent in seen:
                raise InvalidStudy(where, f"{parent!r} is a value, and {leaf!r} lies within it")
            parent = parent.rpartition(".")[0]
    return found


def _joined(entries: Mapping[Any, Any], prefix: str, where: str) -> Iterator[tuple[str, Part]]:
    for key, part in entries.items():
        if not isinstance(key, str) or not key or not key.isprintable() or "/" in key:
            raise InvalidStudy(where, f"{key!r} is not a name", "Names are text without '/'.")
        if key in RESERVED:
            raise InvalidStudy(where, f"{key!r} cannot be a name", f"In JSON it marks a {key}.")
        part = _read_form(part, f"{where}[{key!r}]")
        if isinstance(part, Mapping):
            yield from _joined(part, f"{prefix}{key}.", where)
        else:
            yield f"{prefix}{key}", part


def _is_form(part: Any) -> bool:
    return isinstance(part, Mapping) and any(word in part for word in MARKS)


def _read_form(part: Any, where: str) -> Any:
    """Schedules and domains may also be written as their JSON."""
    return _from_json(part, where) if _is_form(part) else part


def _is_branching(part: Part) -> bool:
    return isinstance(part, Choice) and isinstance(part.options[0], Mapping)


def _leaf_names(entries: Mapping[str, Part], prefix: str) -> set[str]:
    """All names that some trial has."""
    found: set[str] = set()
    for name, part in entries.items():
        if _is_branching(part):
            for option in part.options:
                found |= _leaf_names(option, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def _collect_kinds(entries: Mapping[str, Part], into: dict[str, set[Kind]], prefix: str = "") -> None:
    for name, part in entries.items():
        if _is_branching(part):
            for option in part.options:
                _collect_kinds(option, into, f"{prefix}{name}.")
        else:
            into.setdefault(f"{prefix}{name}", set()).update(_kinds(part, f"space[{prefix + name!r}]"))


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
    if isinstance(part, Domain):
        return {part.kind}
    if isinstance(part, bool) or not isinstance(part, int | float):
        return {Kind.CATEGORICAL}
    return {Kind.INT if isinstance(part, int) else Kind.FLOAT}


def _kind(found: set[Kind]) -> Kind:
    if Kind.CATEGORICAL in found:
        return Kind.CATEGORICAL
    return Kind.FLOAT if Kind.FLOAT in found else Kind.INT


def _always_valid(part: Part) -> bool:
    """Whether whatever is drawn, schedules accept it and are finite at every step."""
    if isinstance(part, Choice):
        return all(_always_valid(option) for option in part.options)
    if isinstance(part, Mapping):
        return all(_always_valid(each) for each in part.values())
    if not isinstance(part, Schedule):
        return True
    if not part.draws:
        return all(piece.formula.always_finite() for piece in schedule_forms.pieces(part))
    # Values that are drawn for a list of values cannot be wrong; other arguments may be.
    return part.form.kind is None and all(
        _always_valid(each) and (not isinstance(each, Domain) or path.startswith("values/"))
        for path, each in part.children()
    )


# JSON


def _from_json(json: Any, where: str) -> Part:
    """A part as written in JSON; parts that are no JSON are left as they are."""
    if not isinstance(json, Mapping):
        return tuple(_from_json(each, where) for each in json) if isinstance(json, list) else json
    if "schedule" in json:
        return schedule_forms.from_json(
            {key: value if key == "schedule" else _from_json(value, where) for key, value in json.items()},
            where,
        )
    if "domain" in json:
        return _domain_from_json(json, where)
    if set(json) == {"float"}:
        try:
            return scalar_from_json(json)
        except ValueError as error:
            raise InvalidStudy(where, str(error)) from None
    return {key: _from_json(value, where) for key, value in json.items()}


def _domain_from_json(json: Mapping[str, Any], where: str) -> Domain:
    word = json["domain"]
    if word not in DOMAINS:
        raise InvalidStudy(where, f"there is no domain {word!r}", suggestion(str(word), DOMAINS))
    given = {key: _from_json(value, where) for key, value in json.items() if key != "domain"}
    if "type" in given:
        types = {"float": float, "int": int}
        if given["type"] not in types:
            raise InvalidStudy(where, f"type must be 'float' or 'int', not {given['type']!r}")
        given["type"] = types[given["type"]]
    found: Domain = DOMAINS[word](**given)  # type: ignore[operator]
    return found


# Assignments


@dataclass(frozen=True, slots=True)
class _Top:
    """The entries of a space or sub-space, still to be walked."""

    entries: Mapping[str, Part]


_Todo = tuple[Any, "_Todo | None"]


def _assignments(todo: _Todo | None, drawn: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
    """Walks what is still to do, and branches at each domain that is not drawn yet."""
    while todo is not None:
        part, todo = todo
        if isinstance(part, Domain):
            name = _name_of(part)
            if name not in drawn:
                assert part.size is not None, "the space is finite"
                for index in range(part.size):
                    value = part.item(index)
                    option = part.options[index] if isinstance(part, Choice) else None
                    yield from _assignments((option, todo), {**drawn, name: value})
                return
            if isinstance(part, Choice):
                chosen = drawn[name]
                assert isinstance(chosen, int)
                todo = (part.options[chosen], todo)
        elif isinstance(part, Schedule):
            for _, each in reversed(list(part.children())):
                todo = (each, todo)
        elif isinstance(part, _Top | Mapping):
            entries = part.entries if isinstance(part, _Top) else part
            for _, each in sorted(entries.items(), reverse=True):
                todo = (each, todo)
    yield drawn


def _resolved(part: Part, decide: Callable[[Domain], Scalar]) -> Part:
    """The part with its domains replaced by what is drawn; a chosen sub-space as it is."""
    if isinstance(part, Choice):
        index = decide(part)
        assert isinstance(index, int)
        return _resolved(part.options[index], decide)
    if isinstance(part, Domain):
        return decide(part)
    if isinstance(part, Schedule):
        return part.mapped(lambda _, each: _resolved(each, decide)) if part.draws else part
    return part
