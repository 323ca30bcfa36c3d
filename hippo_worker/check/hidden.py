"""State outside the trainer object, which no checkpoint has: globals of modules, attributes of classes, closures."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

from hippo_worker.check.observation import Digests, place_digest
from hippo_worker.hosting.loading import Code
from hippo_worker.hosting.survey import Sort, Surveyor, attributes

ITERATOR = "an iterator"


class _Bag:
    """Things under names, to be walked through as a trainer is."""

    def __init__(self, things: dict[str, Any]) -> None:
        self.__dict__.update(things)


def observe_hidden(code: Code, surveyor: Surveyor, trainer: object) -> Digests:
    """What lies outside the trainer, by a name that a person finds again."""
    found: Digests = {}
    for label, things in _bags(code, trainer):
        for path, place in surveyor.survey(_Bag(things)).places.items():
            name = label.format(path)
            found[name] = ITERATOR if place.sort is Sort.ITERATOR else place_digest(place)
    return found


def suspects(before: Digests, after: Digests) -> list[str]:
    """The names of what changed while the trainer trained; iterators always, as their progress cannot be seen."""
    return [name for name, digest in after.items() if digest == ITERATOR or before.get(name) != digest]


def _bags(code: Code, trainer: object) -> Iterator[tuple[str, dict[str, Any]]]:
    for module in code.own_modules():
        file = str(module.__file__).removeprefix(str(code.folder)).lstrip("/")
        things = {name: value for name, value in vars(module).items() if _may_be_state(name, value)}
        yield f"the global {{}} of {file}", things
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield from _of_class(value, file)
            elif isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
                yield from _of_function(value, f"{value.__name__}() in {file}")
    for name, value in attributes(trainer).items():
        if isinstance(value, types.FunctionType):
            yield from _of_function(value, f"self.{name}")


def _may_be_state(name: str, value: object) -> bool:
    skipped = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
    return not name.startswith("__") and not isinstance(value, skipped)


def _of_class(cls: type, file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    things = {}
    for name, value in vars(cls).items():
        if isinstance(value, types.FunctionType):
            yield from _of_function(value, f"{cls.__name__}.{name}() in {file}")
        elif _may_be_state(name, value) and not name.startswith("_abc"):
            things[name] = value
    yield f"the class attribute {cls.__name__}.{{}} in {file}", things


def _of_function(function: types.FunctionType, label: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A function's closure, its mutable defaults and its attributes."""
    cells = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name != "__class__" and _is_filled(cell) and _may_be_state(name, cell.cell_contents):
            cells[name] = cell.cell_contents
    yield f"{{}} in the closure of {label}", cells
    defaults = function.__defaults__ or ()
    yield f"the default {{}} of {label}", {f"argument{index}": value for index, value in enumerate(defaults)}
    yield f"the attribute {{}} of {label}", dict(vars(function))


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
