"""Studies as JSON objects, and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from hippo_core import endings, metric_constraints, policies, samplers
from hippo_core.arguments import suggestion
from hippo_core.choosing import Chosen
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.program import Program, require_int
from hippo_core.retention import Keep
from hippo_core.space import EndOf, Space
from hippo_core.values import Scalar, scalar_from_json, scalar_to_json

if TYPE_CHECKING:
    from hippo_core.study import StudySpec


def study_json(spec: StudySpec) -> dict[str, Any]:
    """The study as a JSON object."""
    ends = {"end_of": spec.max_steps.name} if isinstance(spec.max_steps, EndOf) else None
    return {
        "name": spec.name,
        "space": spec.space.to_json(),
        "objectives": [objective.to_json() for objective in spec.objectives],
        "max_trials": spec.max_trials,
        "max_steps": ends or spec.max_steps,
        "sampler": spec.sampler.to_json(),
        "policy": spec.policy.to_json(),
        "program": spec.program.to_json(),
        "initial": [{name: scalar_to_json(value) for name, value in each.items()} for each in spec.initial],
        "bundle": spec.bundle,
        "checkpoint_every": spec.checkpoint_every,
        "keep": str(spec.keep),
        "checkpoint_budget": spec.checkpoint_budget,
        "priority": spec.priority,
        "secrets": list(spec.secrets),
        "endings": [each.to_json() for each in spec.endings],
        "constraints": [each.expression for each in spec.constraints],
        "repeats": spec.repeats,
        "horizons": list(spec.horizons),
        "earlier": spec.earlier,
        "chosen": None if spec.chosen is None else spec.chosen.to_json(),
    }


def read_study(json: Any, known: Collection[str]) -> dict[str, Any]:
    """What a study is made of, from the object that ``study_json`` makes.

    Args:
        json: The object.
        known: The names of all that it is made of.

    Raises:
        InvalidStudy: A value is wrong, missing or not known.
    """
    if not isinstance(json, Mapping):
        raise InvalidStudy("study", f"must be a JSON object, not {json!r}")
    for key in json:
        if key not in known:
            raise InvalidStudy(str(key), "is not known", suggestion(str(key), known))
    for key in known:
        if key not in json:
            raise InvalidStudy(key, "is missing")
    return {key: _READERS[key](value) if key in _READERS else value for key, value in json.items()}


def _objectives(json: Any) -> tuple[Objective, ...]:
    if not isinstance(json, list | tuple):
        raise InvalidStudy("objectives", f"must be a list, not {json!r}")
    found = []
    for each in json:
        if not isinstance(each, Mapping) or set(each) != {"metric", "maximize"}:
            raise InvalidStudy("objectives", f"must be objects with metric and maximize, not {each!r}")
        found.append(Objective(metric=each["metric"], maximize=each["maximize"]))
    return tuple(found)


def _max_steps(json: Any) -> int | EndOf:
    if isinstance(json, Mapping) and set(json) == {"end_of"}:
        return EndOf(name=json["end_of"])
    return require_int(json, "max_steps", 1)


def _initial(json: Any) -> tuple[Mapping[str, Scalar], ...]:
    if not isinstance(json, list | tuple) or not all(isinstance(each, Mapping) for each in json):
        raise InvalidStudy("initial", f"must be a list of assignments, not {json!r}")
    try:
        return tuple({name: scalar_from_json(value) for name, value in each.items()} for each in json)
    except ValueError as error:
        raise InvalidStudy("initial", str(error)) from None


def _horizons(json: Any) -> tuple[int, ...]:
    if not isinstance(json, list | tuple):
        raise InvalidStudy("horizons", f"must be a list of numbers of steps, not {json!r}")
    return tuple(json)


def _secrets(json: Any) -> tuple[str, ...]:
    if not isinstance(json, list | tuple):
        raise InvalidStudy("secrets", f"must be a list of names, not {json!r}")
    return tuple(json)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "space": Space.from_json,
    "objectives": _objectives,
    "max_steps": _max_steps,
    "sampler": samplers.from_json,
    "policy": policies.from_json,
    "program": Program.from_json,
    "keep": Keep.parse,
    "secrets": _secrets,
    "initial": _initial,
    "endings": endings.from_json,
    "constraints": metric_constraints.checked,
    "chosen": Chosen.from_json,
    "horizons": _horizons,
}
