"""Any of Optuna's samplers, by its class or the name of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core.errors import InvalidStudy
from hippo_core.samplers.learning import Learning

#: Those that have a name of their own here, or cannot work by history, seed and number.
NOT_TAKEN: Mapping[str, str] = {
    "RandomSampler": "samplers.random()",
    "GridSampler": "samplers.grid()",
    "BruteForceSampler": "samplers.grid()",
    "QMCSampler": "samplers.qmc()",
    "CmaEsSampler": "samplers.cma_es()",
    "PartialFixedSampler": "a space with the fixed values, and the sampler itself",
}


#: Where classes come from that can be named to the server.
THEIRS = frozenset({"optuna", "optuna_integration"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Optuna(Learning):
    """A sampler of Optuna's, as it is installed where the server runs.

    Attributes:
        name: Of its class, in ``optuna.samplers`` or ``optuna_integration``.
        arguments: Of its constructor; plain data. The seed is the study's.
    """

    word = "optuna"
    recombines = True
    name: str
    arguments: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash((self.name, json.dumps(self.arguments, sort_keys=True)))


def optuna(name: Any, /, **arguments: Any) -> Optuna:
    """A sampler of Optuna's: ``samplers.optuna("TPESampler", multivariate=True)``.

    Or by the class itself: ``samplers.optuna(optuna.samplers.TPESampler, multivariate=True)``.

    It is made anew for each proposal, where the server runs, with a seed that follows from the study's and the trial's
    number; what it keeps in the attributes of trials is kept. Whether there is such a sampler with such arguments, the
    server says at submission.

    Args:
        name: Of the class, or the class itself; one of Optuna's own.
        arguments: Of its constructor: numbers, text, bool, None, and lists and dicts of these.

    Raises:
        InvalidStudy: It is no class, or none of Optuna's, or an argument is no plain data.
    """
    label = "samplers.optuna"
    found = name if isinstance(name, str) else _name_of(name, label)
    if not found.isidentifier() or found.startswith("_"):
        raise InvalidStudy(label, f"{found!r} is not the name of a sampler", 'For example "TPESampler".')
    if found in NOT_TAKEN:
        raise InvalidStudy(label, f"{found} is not taken from Optuna", f"Use {NOT_TAKEN[found]}.")
    if "constraints_func" in arguments:
        raise InvalidStudy(
            f"{label}.constraints_func",
            "the constraints are the study's",
            'Give Study(constraints=["latency_ms <= 10"]).',
        )
    if "seed" in arguments:
        raise InvalidStudy(f"{label}.seed", "the seed is the study's", "Give Study(seed=...).")
    for key, value in arguments.items():
        try:
            plain = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            raise InvalidStudy(
                f"{label}.{key}",
                f"{value!r} cannot be written as JSON",
                "Numbers, text, bool, None, and lists and dicts of these can.",
            ) from None
        arguments[key] = plain
    return Optuna(name=found, arguments=dict(sorted(arguments.items())))


def _name_of(given: Any, label: str) -> str:
    """The name of a class of Optuna's."""
    found = given if isinstance(given, type) else type(given)
    name: str = found.__name__
    if found.__module__ == "builtins":
        raise InvalidStudy(label, f"{given!r} is no sampler of Optuna's", 'For example "TPESampler".')
    if found.__module__.partition(".")[0] not in THEIRS:
        raise InvalidStudy(
            label,
            f"{name} is none of Optuna's own samplers, and no other is sent to the server",
            "Search with it in a process of yours: sampler=samplers.outside(), and ask() and tell().",
        )
    if found is not given:
        raise InvalidStudy(
            label,
            f"takes the class {name}, not an instance of it, which cannot be sent to the server",
            f'Give the class, or its name, with the arguments: samplers.optuna("{name}", ...).',
        )
    return name
