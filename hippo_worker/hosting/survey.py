"""What is found on a trainer: its attributes, and those of what they hold, sorted by how they can be saved.

Objects with a ``state_dict`` speak for themselves; generators of random numbers have a state; plain data, tensors
and arrays are values. Containers, and objects whose classes come from the bundle, are walked through. All else
(functions, classes, objects of libraries) is a *constant*: it has to stay what ``setup`` or ``apply`` made it.
Iterators are neither: how far they are cannot be seen.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from hippo_worker.hosting.fingerprints import fingerprint
from hippo_worker.hosting.hyperparameters import NotState

MAX_DEPTH = 16
SMALL = 4096  #: values of a trainer's own attributes up to this many bytes are saved whether changed or not
FEW = 4  #: whole numbers in a tuple
SCALARS = frozenset({int, float, bool, str, bytes, type(None), complex})
_MODULE_INTERNALS = frozenset(vars(torch.nn.Module())) | {"training"}
_LOADER_PARTS = ("generator", "dataset", "sampler", "batch_sampler", "_iterator")


class Sort(StrEnum):
    """How a thing can be saved."""

    STATEFUL = "stateful"
    GENERATOR = "generator"
    VALUE = "value"
    CONSTANT = "constant"
    ITERATOR = "iterator"


@dataclass(slots=True, kw_only=True)
class Place:
    """Where something was found.

    Attributes:
        owner: The path of the object or container that holds it; "" is the trainer.
        key: The attribute's name, or the key within a container.
        put: Puts another value there.
        digest: For a value, equal while its bytes do not change.
        small: For a value, that it is saved whether it has changed or not.
    """

    sort: Sort
    value: Any
    owner: str
    key: Any
    put: Callable[[Any], None]
    digest: bytes = b""
    small: bool = False


@dataclass(slots=True)
class Survey:
    """What was found, by path.

    Attributes:
        places: In the order in which they were met.
        objects: The objects whose attributes were walked through.
    """

    places: dict[str, Place] = field(default_factory=dict)
    objects: dict[str, object] = field(default_factory=dict)

    def modules(self) -> dict[str, torch.nn.Module]:
        """The modules found."""
        return {
            path: place.value
            for path, place in self.places.items()
            if isinstance(place.value, torch.nn.Module)
        }


def attributes(thing: object) -> dict[str, Any]:
    """An object's own attributes, those in slots included."""
    cls: Any = type(thing)  # which is hashable, whatever mypy thinks
    slots = _slots(cls)
    if not slots:
        return dict(getattr(thing, "__dict__", ()))
    found = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
    found.update(getattr(thing, "__dict__", ()))
    return found


@lru_cache(maxsize=1024)
def _slots(cls: type) -> tuple[str, ...]:
    """The names that a class and those above it have in slots."""
    found: dict[str, None] = {}
    for each in cls.__mro__:
        slots = vars(each).get("__slots__", ())
        found |= dict.fromkeys((slots,) if isinstance(slots, str) else slots)
    return tuple(name for name in found if name not in ("__dict__", "__weakref__"))


class Surveyor:
    """Walks through a trainer.

    Args:
        is_users: Whether a class comes from the bundle, so that its objects are walked through.
    """

    def __init__(self, is_users: Callable[[type], bool]) -> None:
        self._is_users = is_users

    def survey(self, trainer: object, only: frozenset[str] | None = None) -> Survey:
        """Looks at a trainer's attributes, or some of them."""
        walk = _Walk(self._is_users, trainer)
        walk.found.objects[""] = trainer
        for name, value in attributes(trainer).items():
            if only is None or name in only:
                walk.visit(value, "", name, name, _attribute_setter(trainer, name), 0)
        return walk.found


class _Walk:
    def __init__(self, is_users: Callable[[type], bool], trainer: object) -> None:
        self.found = Survey()
        self._is_users = is_users
        self._seen = {id(trainer)}

    def visit(
        self, value: Any, owner: str, key: Any, path: str, put: Callable[[Any], None], depth: int
    ) -> None:
        if isinstance(value, NotState) or id(value) in self._seen:
            return
        place = Place(sort=Sort.CONSTANT, value=value, owner=owner, key=key, put=put)
        if type(value) in SCALARS or _is_size(value):
            place.sort, place.digest = Sort.VALUE, f"{type(value)}{value!r}".encode()
            place.small = not owner and len(place.digest) <= SMALL
        elif is_stateful(value):
            self._seen.add(id(value))
            place.sort = Sort.STATEFUL
        elif is_generator(value):
            self._seen.add(id(value))
            place.sort = Sort.GENERATOR
        elif (found := fingerprint(value)) is not None:
            place.sort, place.digest = Sort.VALUE, found.digest
            place.small = not owner and not found.bulky and found.size <= SMALL
        elif depth < MAX_DEPTH and self._descend(value, path, depth):
            return
        elif isinstance(value, Iterator) and not isinstance(value, io.IOBase):
            place.sort = Sort.ITERATOR
        self.found.places[path] = place
        if isinstance(value, torch.nn.Module):
            self._module(value, path, depth)

    def _descend(self, value: Any, path: str, depth: int) -> bool:
        """Walks through what the value holds, where it is of a kind that is walked through."""
        if isinstance(value, (list, tuple)):
            children = [(index, item, f"{path}[{index}]") for index, item in enumerate(value)]
        elif isinstance(value, Mapping):
            children = [(key, item, f"{path}[{key!r}]") for key, item in value.items()]
        elif isinstance(value, torch.utils.data.DataLoader):
            return self._object(value, path, depth, _LOADER_PARTS)
        elif self._is_walked(value):
            return self._object(value, path, depth, None)
        else:
            return False
        self._seen.add(id(value))
        for key, item, child in children:
            self.visit(item, path, key, child, _item_setter(value, key), depth + 1)
        return True

    def _object(self, value: Any, path: str, depth: int, only: tuple[str, ...] | None) -> bool:
        self._seen.add(id(value))
        if only is None:
            self.found.objects[path] = value
        # Loaders and samplers of torch do not change their own settings; a trainer may make them anew with others.
        of_torch = type(value).__module__.startswith("torch.")
        found = attributes(value)
        for name in found if only is None else only:
            item = found.get(name)
            if not (of_torch and type(item) in SCALARS):
                self.visit(item, path, name, f"{path}.{name}", _attribute_setter(value, name), depth + 1)
        return True

    def _is_walked(self, value: object) -> bool:
        cls = type(value)
        if isinstance(value, type) or (callable(value) and not hasattr(value, "__dict__")):
            return False
        if self._is_users(cls) or isinstance(value, SimpleNamespace):
            return True
        return cls.__module__.startswith("torch.utils.data") and not isinstance(value, Iterator)

    def _module(self, root: torch.nn.Module, path: str, depth: int) -> None:
        """What modules hold beside parameters, buffers and parts, e.g. counters and generators."""
        for name, module in root.named_modules():
            where = f"{path}.{name}" if name else path
            of_torch = type(module).__module__.startswith("torch.")
            for attribute, value in vars(module).items():
                if attribute in _MODULE_INTERNALS or (of_torch and attribute.startswith("_")):
                    continue
                put = _attribute_setter(module, attribute)
                self.visit(value, where, attribute, f"{where}.{attribute}", put, depth + 1)


def _is_size(value: object) -> bool:
    """Whether a value is like the size of a kernel: most of what modules hold, and printed sooner than pickled."""
    return type(value) is tuple and len(value) <= FEW and all(type(each) is int for each in value)


def is_stateful(value: object) -> bool:
    """Whether a value gives its state and takes it back."""
    cls = type(value)
    return callable(getattr(cls, "state_dict", None)) and callable(getattr(cls, "load_state_dict", None))


def is_generator(value: object) -> bool:
    """Whether a value is a generator of random numbers."""
    return isinstance(value, (torch.Generator, np.random.Generator, np.random.RandomState)) or (
        type(value) is random.Random
    )


def _attribute_setter(owner: object, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(owner, name, value)


def _item_setter(owner: Any, key: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        owner[key] = value

    return put
