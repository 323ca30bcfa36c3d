"""Reading a space as a person wrote it, or its JSON: names joined, domains named, one form for one space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hippo_core import schedule_forms
from hippo_core.arguments import scalar, suggestion
from hippo_core.constraints import Constraint
from hippo_core.domain_calls import DOMAINS
from hippo_core.domains import Choice, Domain, part_to_json
from hippo_core.errors import InvalidStudy
from hippo_core.kinds import is_numeric, leaves
from hippo_core.schedule_forms import Part, Schedule
from hippo_core.values import scalar_from_json

MARKS = ("schedule", "domain", "constraint")
RESERVED = (*MARKS, "float")
OUTERMOST = "Constraints stand beside the outermost names; they apply only where all their names are there."


def read_space(entries: Mapping[Any, Any]) -> tuple[dict[str, Part], dict[str, Domain]]:
    """The canonical form of a space, and its domains by name.

    Raises:
        InvalidStudy: It is not a space.
    """
    naming = _Naming()
    found = _flattened(entries, "", "space", naming.named)
    for name, part in found.items():
        if isinstance(part, Constraint):
            _check_names(part, f"space[{name!r}]", found, naming.domains)
    return found, naming.domains


def _check_names(
    constraint: Constraint, where: str, entries: Mapping[str, Part], domains: Mapping[str, Domain]
) -> None:
    known: dict[str, list[Part]] = {name: [domain] for name, domain in domains.items()}
    for name, part in leaves(entries):
        known.setdefault(name, []).append(part)
    for name in sorted(constraint.names):
        if name not in known:
            raise InvalidStudy(
                where, f"{constraint.expression!r}: there is no {name!r}", suggestion(name, sorted(known))
            )
        if not all(is_numeric(part) for part in known[name]):
            raise InvalidStudy(
                where,
                f"{constraint.expression!r}: {name!r} is not always a plain number",
                "Constraints are over numbers: draw one with name=, and use it in the schedule.",
            )


@dataclass(slots=True)
class _Naming:
    """Gives every domain its name.

    Attributes:
        domains: Named domains, by name.
        names: Names by the identity of the domain as written, so that the same object is one draw.
        written: The domains as written, kept so that an identity is not used twice.
    """

    domains: dict[str, Domain] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    written: dict[int, Domain] = field(default_factory=dict)

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
            return part if isinstance(part, Constraint) and not inside else scalar(part, where)
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
        if isinstance(part, Constraint) and prefix:
            raise InvalidStudy(
                where, f"a constraint cannot stand in a branch: {part.expression!r}", OUTERMOST
            )
        found[name] = named(part, f"{prefix}{name}", place)
    seen: set[str] = set()
    for name, part in found.items():
        for leaf in sorted({leaf for leaf, _ in leaves({name: part})}):
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
    return part_from_json(part, where) if _is_form(part) else part


def part_from_json(json: Any, where: str) -> Part:
    """A part as written in JSON; parts that are no JSON are left as they are."""
    if not isinstance(json, Mapping):
        return tuple(part_from_json(each, where) for each in json) if isinstance(json, list) else json
    if "schedule" in json:
        return schedule_forms.from_json(
            {
                key: value if key == "schedule" else part_from_json(value, where)
                for key, value in json.items()
            },
            where,
        )
    if "domain" in json:
        return _domain_from_json(json, where)
    if set(json) == {"constraint"}:
        return Constraint(expression=json["constraint"])
    if set(json) == {"float"}:
        try:
            return scalar_from_json(json)
        except ValueError as error:
            raise InvalidStudy(where, str(error)) from None
    return {key: part_from_json(value, where) for key, value in json.items()}


def _domain_from_json(json: Mapping[str, Any], where: str) -> Domain:
    word = json["domain"]
    if word not in tuple(DOMAINS):
        raise InvalidStudy(where, f"there is no domain {word!r}", suggestion(str(word), DOMAINS))
    given = {key: part_from_json(value, where) for key, value in json.items() if key != "domain"}
    if "type" in given:
        types = {"float": float, "int": int}
        if given["type"] not in types:
            raise InvalidStudy(where, f"type must be 'float' or 'int', not {given['type']!r}")
        given["type"] = types[given["type"]]
    found: Domain = DOMAINS[word](**given)  # type: ignore[operator]
    return found
