"""Samplers: which sequences to try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_core.arguments import suggestion
from hippo_core.errors import InvalidStudy
from hippo_core.samplers.grid import Grid, grid
from hippo_core.samplers.random import Random, random
from hippo_core.samplers.sampler import Sampler

__all__ = ["Grid", "Random", "Sampler", "from_json", "grid", "random"]

SAMPLERS = {"grid": grid, "random": random}


def from_json(json: Any) -> Sampler:
    """The sampler of ``{"sampler": name, ...}``.

    Raises:
        InvalidStudy: There is none of that name, or it has no such argument.
    """
    if not isinstance(json, Mapping) or "sampler" not in json:
        raise InvalidStudy("sampler", f"must be an object like {{'sampler': 'grid'}}, not {json!r}")
    name = json["sampler"]
    if name not in tuple(SAMPLERS):
        raise InvalidStudy("sampler", f"there is no sampler {name!r}", suggestion(str(name), SAMPLERS))
    return SAMPLERS[name](**{key: value for key, value in json.items() if key != "sampler"})
