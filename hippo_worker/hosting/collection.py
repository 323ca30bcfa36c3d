"""The default state of a trainer: what ``context.collect_state`` and ``context.restore_state`` do.

``setup`` runs again before a state is loaded, with the same seed and the same values, so what it made need not be
saved: only what has changed since. The baseline remembers what ``setup`` left, as digests and identities.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hippo_storage.errors import StateError
from hippo_worker.hosting.module_state import (
    extras_of,
    generator_state,
    in_place,
    restore_extras,
    restore_generator,
    restore_optimizer,
)
from hippo_worker.hosting.survey import Place, Sort, Survey, Surveyor, attributes

FORMAT = 1
_MAKE_IN_SETUP = "Make it in setup()."
_DEFINE = "Or define state_dict() and load_state_dict() on the trainer."


class NotRestorable(Exception):
    """A trainer that has trained holds a change that the state to load knows nothing of; a new one does not."""


class Baseline:
    """What ``setup`` left: digests of values, identities of constants, and which objects have a state.

    Attributes:
        modules: The modules found, by path.
    """

    def __init__(self, survey: Survey) -> None:
        self.modules = survey.modules()
        self._digests = {path: p.digest for path, p in survey.places.items() if p.sort is Sort.VALUE}
        self._stateful = {
            path for path, p in survey.places.items() if p.sort in (Sort.STATEFUL, Sort.GENERATOR)
        }
        self._owners = {place.owner for place in survey.places.values()} | survey.objects.keys()
        self._constants: dict[str, tuple[object, object]] = {}
        self.allow(survey)

    def allow(self, survey: Survey) -> None:
        """Takes values and constants as they are now: ``apply`` makes them anew wherever a state is loaded."""
        for path, place in survey.places.items():
            if place.sort is Sort.CONSTANT:
                self._constants[path] = (place.value, _version(place.value))
            elif place.sort is Sort.VALUE:
                self._digests[path] = place.digest

    def is_unchanged(self, path: str, place: Place) -> bool:
        """Whether a value has the bytes that ``setup`` gave it."""
        return self._digests.get(path) == place.digest

    def has_constant(self, path: str, place: Place) -> bool:
        """Whether a constant is still the same object."""
        known = self._constants.get(path)
        return known is not None and known[0] is place.value and known[1] == _version(place.value)

    def has_owner(self, place: Place) -> bool:
        """Whether ``setup`` made what holds a value."""
        return place.owner in self._owners

    def has_stateful(self, path: str) -> bool:
        """Whether ``setup`` made something there that has a state."""
        return path in self._stateful


def take_baseline(surveyor: Surveyor, trainer: object) -> Baseline:
    """Remembers what ``setup`` left; refuses what could never be saved."""
    survey = surveyor.survey(trainer)
    for path, place in survey.places.items():
        if place.sort is Sort.ITERATOR:
            raise _iterator_error(path, place)
    return Baseline(survey)


def collect(surveyor: Surveyor, trainer: object, baseline: Baseline | None) -> dict[str, Any]:
    """The default state of a trainer. The tensors in it are the trainer's own, not copies.

    Raises:
        StateError: Something cannot be saved; names the attribute and the remedy.
    """
    survey = surveyor.survey(trainer)
    objects: dict[str, Any] = {}
    generators: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for path, place in survey.places.items():
        _require_savable(path, place, baseline)
        if place.sort is Sort.STATEFUL:
            objects[path] = place.value.state_dict()
        elif place.sort is Sort.GENERATOR:
            generators[path] = generator_state(place.value)
        elif place.sort is Sort.VALUE and (
            place.small or baseline is None or not baseline.is_unchanged(path, place)
        ):
            if baseline is not None and not baseline.has_owner(place):
                raise StateError(
                    path, "It has changed, but setup() did not make what holds it.", f"{_MAKE_IN_SETUP} {_DEFINE}"
                )  # fmt: skip
            values[path] = [place.owner, place.key, place.value, _gradient(place.value)]
    return {
        "format": FORMAT,
        "objects": objects,
        "modules": {path: extras_of(module, objects[path]) for path, module in survey.modules().items()},
        "generators": generators,
        "values": values,
        "names": {path: list(attributes(thing)) for path, thing in survey.objects.items()},
    }


def restore(surveyor: Surveyor, trainer: object, state: Mapping[str, Any], baseline: Baseline | None) -> None:
    """Puts a default state back into a trainer, in place.

    Raises:
        NotRestorable: Only for a trainer that has trained: a new one is needed. It may be half changed by then.
        StateError: The state belongs to a trainer that is built differently.
    """
    survey = surveyor.survey(trainer)
    _require_restorable(survey, state, baseline)
    for path, saved in state["objects"].items():
        place = _find(survey, path)
        if isinstance(place.value, torch.optim.Optimizer):
            restore_optimizer(place.value, saved)
        else:
            place.value.load_state_dict(saved)
    for path, extras in state["modules"].items():
        restore_extras(_find(survey, path).value, extras)
    for path, saved in state["generators"].items():
        restore_generator(_find(survey, path).value, saved)
    _drop_later_attributes(survey, state["names"])
    for path, (owner, key, value, gradient) in state["values"].items():
        held = _gradient(survey.places[path].value) if path in survey.places else None
        _put(survey, path, owner, key, value)
        if gradient is not None:
            attributes(survey.objects[owner])[key].grad = in_place(held, gradient)


def _require_savable(path: str, place: Place, baseline: Baseline | None) -> None:
    if place.sort is Sort.ITERATOR:
        raise _iterator_error(path, place)
    if baseline is None:
        return
    kind = type(place.value).__qualname__
    if place.sort is Sort.CONSTANT and not baseline.has_constant(path, place):
        raise StateError(
            path,
            f"A {kind} was put here, or changed, after setup(), and it cannot be saved.",
            f"Make it in setup() or in apply(), or keep the plain values that it is made of instead. {_DEFINE}",
        )
    if place.sort in (Sort.STATEFUL, Sort.GENERATOR) and not baseline.has_stateful(path):
        raise StateError(
            path,
            f"A {kind} was made after setup(), so that no loaded state can be put into it.",
            f"{_MAKE_IN_SETUP} {_DEFINE}",
        )


def _iterator_error(path: str, place: Place) -> StateError:
    return StateError(
        path,
        f"An iterator ({type(place.value).__qualname__}) is kept across steps, and how far it is cannot be saved.",
        "Use context.batches(...), or make it anew within train(), without persistent_workers.",
    )


def _require_restorable(survey: Survey, state: Mapping[str, Any], baseline: Baseline | None) -> None:
    if baseline is None:
        return
    for path, place in survey.places.items():
        if place.sort is Sort.VALUE:
            kept = path in state["values"] or baseline.is_unchanged(path, place)
            gone = place.owner in state["names"] and place.key not in state["names"][place.owner]
            if not kept and not gone:
                raise NotRestorable(path)
        elif (
            place.sort is Sort.CONSTANT and not baseline.has_constant(path, place)
        ) or place.sort is Sort.ITERATOR:
            raise NotRestorable(path)


def _find(survey: Survey, path: str) -> Place:
    try:
        return survey.places[path]
    except KeyError:
        raise StateError(path, "It is in the checkpoint, but setup() did not make it.", _DEFINE) from None


def _drop_later_attributes(survey: Survey, names: Mapping[str, list[str]]) -> None:
    """Removes the attributes that the trainer had not when the state was saved."""
    for path, thing in survey.objects.items():
        if path in names:
            for name in attributes(thing).keys() - set(names[path]):
                delattr(thing, name)


def _put(survey: Survey, path: str, owner: str, key: Any, value: Any) -> None:
    place = survey.places.get(path)
    if place is not None:
        merged = merge(place.value, value)
        if merged is not place.value:
            place.put(merged)
    elif owner in survey.objects:
        setattr(survey.objects[owner], key, value)
    else:
        raise StateError(path, "It is in the checkpoint, but setup() did not make what holds it.", _DEFINE)


def merge(current: Any, saved: Any) -> Any:
    """Puts a saved value into the current one where that is possible, so that whoever shares it sees it.

    Returns:
        The current object if it now holds the saved value, else the saved value.
    """
    if type(current) is not type(saved):
        return saved
    if isinstance(saved, torch.Tensor):
        return _merge_tensor(current, saved)
    if isinstance(saved, np.ndarray):
        if current.shape == saved.shape and current.dtype == saved.dtype and current.flags.writeable:
            np.copyto(current, saved)
            return current
        return saved
    if isinstance(saved, list):
        paired = len(current) == len(saved)
        current[:] = [merge(a, b) for a, b in zip(current, saved, strict=True)] if paired else saved
        return current
    if isinstance(saved, dict):
        merged = {key: merge(current.get(key), value) for key, value in saved.items()}
        current.clear()
        current.update(merged)
        return current
    if isinstance(saved, (set, deque)) and getattr(current, "maxlen", None) == getattr(saved, "maxlen", None):
        items = list(saved)
        current.clear()
        current.update(items) if isinstance(current, set) else current.extend(items)
        return current
    return saved


def _merge_tensor(current: torch.Tensor, saved: torch.Tensor) -> torch.Tensor:
    alike = (
        current.shape == saved.shape
        and current.dtype == saved.dtype
        and current.device.type == saved.device.type
        and current.stride() == saved.stride()
        and current.is_leaf
        and current.requires_grad == saved.requires_grad
    )
    if not alike:
        return saved
    with torch.no_grad():
        current.copy_(saved)
        current.grad = None
    return current


def _gradient(value: object) -> torch.Tensor | None:
    return value.grad if isinstance(value, torch.Tensor) and value.is_leaf else None


def _version(value: object) -> object:
    return value._version if isinstance(value, torch.Tensor) else None
