"""YAML as study files use it: the core schema of YAML 1.2, plain data only, and where each thing stands.

PyYAML splits the text into events; what they mean is decided here, after https://yaml.org/spec/1.2.2/#103-core-schema:
``1e-3`` is a float, ``010`` is ten, ``yes``, ``no``, ``on`` and ``off`` are text, and so is ``1:30``. A key that is
given twice, a tag and a merge key are refused. An alias stands for another copy of what its anchor marks. What a text
unfolds to is bounded, in depth and in number, so that a few lines of aliases cannot fill the memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from hippo_core.errors import InvalidStudy

Path = tuple[str | int, ...]  #: keys and positions, from the outermost
DEEPEST = 64
MOST_NODES = 100_000
LONGEST_NUMBER = 400  #: digits; what is longer is no number that anything here takes

_NULL = re.compile(r"|~|null|Null|NULL")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
INT = re.compile(r"[-+]?[0-9]+")
OCTAL = re.compile(r"0o[0-7]+")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


class Misplaced(InvalidStudy):
    """What is wrong with a file, with line and column."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says.

    Attributes:
        file: Its name, for messages.
        value: Plain data: dicts with text as keys, lists, text, numbers, True, False, None.
        keys: By path, where the key of an entry stands; of an item of a list, the item.
        values: By path, where the value stands.
    """

    file: str
    value: Any
    keys: Mapping[Path, Place]
    values: Mapping[Path, Place]

    def place(self, path: Path, key: bool = False) -> Place:
        """Where the value at a path stands, or its key; or the nearest thing around it."""
        known = self.keys if key else self.values
        while path and path not in known:
            path = path[:-1]
        return known.get(path, Place(1, 1))

    def inner(self, path: Path) -> Any:
        """The value at a path that the file has."""
        found = self.value
        for each in path:
            found = found[each]
        return found

    def refused(
        self, path: Path, message: str, hint: str = "", *, field: str = "", key: bool = False
    ) -> Misplaced:
        """An error about what stands at a path.

        Args:
            path: Where it stands.
            message: What is wrong.
            hint: What to do about it.
            field: How what is wrong is named; by default by its path.
            key: Whether it is the key of the entry that is wrong, not its value.
        """
        at = f"{self.file}:{self.place(path, key)}"
        named = field or path_in_words(path)
        told = message.rstrip().removesuffix(".")
        return Misplaced(named, f"{told} ({at}).", hint) if named else Misplaced(at, f"{told}.", hint)


def path_in_words(path: Path) -> str:
    """``space.lr.choice[2]``."""
    found = ""
    for each in path:
        found += f"[{each}]" if isinstance(each, int) else f".{each}" if found else each
    return found


def parse(text: str, file: str) -> Document:
    """The one document of a text.

    Args:
        text: The text.
        file: The file's name, for messages.

    Raises:
        Misplaced: It is not YAML, or more than plain data; with line and column.
    """
    reading = _Reading(file, text)
    try:
        return reading.document()
    except yaml.MarkedYAMLError as error:
        raise reading.not_yaml(error) from None
    except yaml.YAMLError as error:  # a character that no YAML has
        position = getattr(error, "position", None)
        place = _place_of(text, position) if isinstance(position, int) else Place(1, 1)
        raise Misplaced(
            f"{file}:{place}", "holds a character that YAML does not allow.", "Remove it."
        ) from None


def _place_of(text: str, position: int) -> Place:
    before = text[:position]
    return Place(before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)


@dataclass(slots=True)
class _Node:
    """A value, where it stands, and how much it is."""

    value: Any
    place: Place
    inner: dict[str | int, tuple[Place, _Node]] = field(default_factory=dict)
    count: int = 1
    depth: int = 1


class _Reading:
    """One pass over the events of a text."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        self._anchors: dict[str, _Node | None] = {}  # None while what it marks is being read

    def document(self) -> Document:
        next(self._events)  # the stream
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return Document(self._file, None, {}, {(): Place(1, 1)})
        root = self._node(next(self._events), 1)
        next(self._events)  # the document's end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._refused(event, "a second document begins here", "A file holds one: remove the ---.")
        keys: dict[Path, Place] = {(): root.place}
        values: dict[Path, Place] = {}
        _place(root, (), keys, values)
        return Document(self._file, root.value, keys, values)

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if depth > DEEPEST:
            raise self._refused(event, f"nested more than {DEEPEST} deep", "Write it flatter.")
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise self._refused(
                event, f"the tag {shown} is refused: a study is plain data", "Remove the tag."
            )
        anchor = event.anchor  # type: ignore[attr-defined]
        if anchor is not None:
            self._anchors[anchor] = None
        if isinstance(event, yaml.MappingStartEvent):
            found = self._mapping(event, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            found = self._sequence(event, depth)
        else:
            assert isinstance(event, yaml.ScalarEvent)
            plain = event.implicit[0]
            found = _Node(self._scalar(event) if plain else event.value, _start(event))
        if found.count > MOST_NODES:
            raise self._too_much(event)
        if anchor is not None:
            self._anchors[anchor] = found
        return found

    def _alias(self, event: yaml.AliasEvent, depth: int) -> _Node:
        if event.anchor not in self._anchors:
            known = ", ".join(f"&{each}" for each in self._anchors) or "none"
            raise self._refused(event, f"*{event.anchor} has no anchor", f"Anchors before it: {known}.")
        found = self._anchors[event.anchor]
        if found is None:
            raise self._refused(event, f"*{event.anchor} stands within itself", "Write it out.")
        if depth + found.depth - 1 > DEEPEST:
            raise self._refused(event, f"nested more than {DEEPEST} deep", "Write it flatter.")
        return found

    def _mapping(self, event: yaml.Event, depth: int) -> _Node:
        found = _Node({}, _start(event))
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            name = self._key(key)
            if name in found.inner:
                first = found.inner[name][0]
                raise self._refused(
                    key, f"the key {name!r} stands there twice, first at {first}", "Remove one of them."
                )
            self._add(found, name, _start(key), self._node(next(self._events), depth + 1), key)
            found.value[name] = found.inner[name][1].value
        return found

    def _key(self, event: yaml.Event) -> str:
        plain = isinstance(event, yaml.ScalarEvent) and event.tag is None and event.anchor is None
        if not plain:
            raise self._refused(event, "a key must be plain text", "Write name: value.")
        assert isinstance(event, yaml.ScalarEvent)
        if event.value == "<<" and event.implicit[0]:
            raise self._refused(event, "merge keys are not part of YAML 1.2", "Write the entries out.")
        return str(event.value)

    def _sequence(self, event: yaml.Event, depth: int) -> _Node:
        found = _Node([], _start(event))
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            node = self._node(item, depth + 1)
            self._add(found, len(found.value), _start(item), node, item)
            found.value.append(node.value)
        return found

    def _add(self, to: _Node, name: str | int, place: Place, node: _Node, event: yaml.Event) -> None:
        to.inner[name] = (place, node)
        to.count += node.count
        to.depth = max(to.depth, node.depth + 1)
        if to.count > MOST_NODES:
            raise self._too_much(event)

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        if len(text) > LONGEST_NUMBER:
            return text
        if _NULL.fullmatch(text):
            return None
        if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
            return bool(_TRUE.fullmatch(text))
        if INT.fullmatch(text):
            return int(text)
        if OCTAL.fullmatch(text) or HEXADECIMAL.fullmatch(text):
            return int(text, 0)
        if FLOAT.fullmatch(text):
            return float(text)
        if _INFINITE.fullmatch(text) or _NAN.fullmatch(text):
            return float(text.lower().replace(".", ""))
        return text

    def _too_much(self, event: yaml.Event) -> Misplaced:
        return self._refused(
            event,
            f"unfolds to more than {MOST_NODES:,} values",
            "Data belong into files that the trainer reads.",
        )

    def _refused(self, event: yaml.Event, message: str, hint: str) -> Misplaced:
        return Misplaced(f"{self._file}:{_start(event)}", f"{message}.", hint)

    def not_yaml(self, error: yaml.MarkedYAMLError) -> Misplaced:
        """What is wrong, with the place; in the parser's own words where there are no better ones."""
        mark = error.problem_mark or error.context_mark
        place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
        begun = (
            place
            if error.context_mark is None
            else Place(error.context_mark.line + 1, error.context_mark.column + 1)
        )
        said = f"{error.context}: {error.problem}" if error.context else error.problem or "is not YAML"
        for pattern, words, hint in _NOT_YAML:
            found = re.search(pattern, said)
            if found:
                words = words.format(*found.groups(), begun=begun)
                return Misplaced(f"{self._file}:{place}", f"{words}.", hint)
        return Misplaced(f"{self._file}:{place}", f"{said}.", "Correct the file.")


#: By what the parser says, what is wrong in words, and what to do about it; ``begun`` is where it began.
_NOT_YAML = (
    (r"'\\t'", "a tab indents this line", "Indent with spaces."),
    (r"quoted scalar: .*end of", "the quoted text that begins at {begun} does not end", "Close the quote."),
    (
        r"flow mapping: expected",
        "the {{ at {begun} is not closed, or a comma is missing",
        "Write } or a comma.",
    ),
    (
        r"flow sequence: expected",
        "the [ at {begun} is not closed, or a comma is missing",
        "Write ] or a comma.",
    ),
    (
        r"mapping values are not allowed",
        "a second name: on one line",
        "Write it on a line of its own, further in, or both in { }; text with a colon stands in quotes.",
    ),
    (
        r"expected <block end>",
        "is not indented as what begins at {begun}, and nothing else begins here",
        "Indent the entries of one level alike.",
    ),
    (r"could not find expected ':'", "a name without a colon", "Write name: value."),
    (r"found character '(.)' that cannot", "text that begins with {0} stands in quotes", "Quote it."),
)


def _start(event: yaml.Event) -> Place:
    mark = event.start_mark
    assert mark is not None
    return Place(mark.line + 1, mark.column + 1)


def _place(node: _Node, path: Path, keys: dict[Path, Place], values: dict[Path, Place]) -> None:
    values[path] = node.place
    for name, (place, inner) in node.inner.items():
        keys[(*path, name)] = place
        _place(inner, (*path, name), keys, values)


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version of YAML would read as something else; writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _listed(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    """Lists of plain values stand in one line."""
    plain = not any(isinstance(each, list | dict) for each in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=plain)


_Dumper.add_representer(list, _listed)
for _tag, _pattern in (("float", FLOAT), ("int", OCTAL), ("int", INT)):
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern.pattern})$"), list("-+.0123456789")
    )


def dump(value: Any) -> str:
    """Plain data as YAML that :func:`parse` reads as the same."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=False
    )
    return text
