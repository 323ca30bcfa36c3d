"""What can be seen of a trainer's state, as digests by path: to compare two processes, and to name what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import blake3
import numpy as np
import torch

from hippo_storage.errors import StateError
from hippo_storage.state_data import Encoder, pack
from hippo_worker.hosting.fingerprints import NotPlain, array_digest, tensor_digest
from hippo_worker.hosting.module_state import extras_of, generator_state
from hippo_worker.hosting.numerics import capture_numerics
from hippo_worker.hosting.randomness import capture_random_state
from hippo_worker.hosting.survey import Place, Sort, Surveyor

Digests = dict[str, str]


def digest_of(value: object) -> str:
    """A digest that is equal, in any process, where values are; what is no plain data counts by its type."""

    def leaf(path: str, found: Any) -> list[Any]:
        try:
            if isinstance(found, torch.Tensor):
                return ["tensor", tensor_digest(found.detach())]
            if isinstance(found, np.ndarray):
                return ["array", array_digest(found)]
        except NotPlain:
            pass
        return ["opaque", type(found).__qualname__]

    try:
        data = Encoder(leaf).encode(value)
    except StateError as error:
        data = ["unreadable", error.path]
    return str(blake3.blake3(pack(data)).hexdigest()[:32])


def observe(surveyor: Surveyor, trainer: object, device: str) -> tuple[Digests, Digests]:
    """A trainer's state now.

    Returns:
        What must be equal wherever the same was trained: modules, optimisers and the like, generators, tensors; and
        plain values, which may be told apart by a clock or a counter without harm.
    """
    strict: Digests = {}
    lax: Digests = {}
    survey = surveyor.survey(trainer)
    for path, place in survey.places.items():
        if place.sort is Sort.STATEFUL:
            strict.update(_parts(path, place.value.state_dict()))
        elif place.sort is Sort.GENERATOR:
            strict[path] = digest_of(generator_state(place.value))
        elif place.sort is Sort.VALUE:
            into = strict if isinstance(place.value, (torch.Tensor, np.ndarray)) else lax
            into[path] = digest_of(place.value)
    for path, module in survey.modules().items():
        extras = extras_of(module, module.state_dict())
        strict.update(_parts(f"{path} (buffers)", extras["buffers"]))
        strict[f"{path} (frozen parameters)"] = digest_of(extras["frozen"])
    for name, state in capture_random_state(device).items():
        strict[f"random state of {name}"] = digest_of(state)
    strict.update({f"torch's setting {name}": digest_of(value) for name, value in capture_numerics().items()})
    return strict, lax


def _parts(path: str, state: object) -> Digests:
    if isinstance(state, Mapping) and all(isinstance(key, str) for key in state):
        return {f"{path}.{key}": digest_of(value) for key, value in state.items()}
    return {path: digest_of(state)}


def differing(one: Digests, other: Digests) -> list[str]:
    """The paths whose digests differ, or that only one of them has."""
    return [path for path in dict.fromkeys([*one, *other]) if one.get(path) != other.get(path)]


def place_digest(place: Place) -> str:
    """The digest of whatever lies at a place; what cannot be seen into counts by its identity."""
    if place.sort is Sort.STATEFUL:
        return digest_of(place.value.state_dict())
    if place.sort is Sort.GENERATOR:
        return digest_of(generator_state(place.value))
    if place.sort is Sort.VALUE:
        return digest_of(place.value)
    return f"object {id(place.value)}"


def bulk_digests(state: object, path: str = "") -> Digests:
    """The digests of all tensors and arrays in a state, by path."""
    if isinstance(state, (torch.Tensor, np.ndarray)):
        return {path: digest_of(state)}
    found: Digests = {}
    if isinstance(state, Mapping):
        for key, value in state.items():
            found.update(bulk_digests(value, f"{path}.{key}" if path else str(key)))
    elif isinstance(state, (list, tuple)):
        for index, value in enumerate(state):
            found.update(bulk_digests(value, f"{path}[{index}]"))
    return found
