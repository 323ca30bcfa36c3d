"""A study as a file in YAML, which ``hippo_client.study_yaml`` reads as the same study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_client.study_arguments import DEFAULT_UNIT
from hippo_client.yaml_text import dump
from hippo_core.policies import OwnSpec
from hippo_core.retention import KEEP_BEST
from hippo_core.space import EndOf
from hippo_core.study import StudySpec
from hippo_core.values import Scalar, scalar_from_json

_FORMS = ("domain", "schedule", "constraint", "float")


def write(spec: StudySpec) -> str:
    """The text of a study's file. Its further code folders and the word for its code are no part of a study."""
    return dump(arguments(spec))


def arguments(spec: StudySpec) -> dict[str, Any]:
    """A study's arguments as plain data, without those that are as they are by default."""
    program = spec.program
    resources = {name: each for name, each in program.resources.to_json().items() if each is not None}
    found: dict[str, Any] = {
        "trainer": program.trainer,
        "name": spec.name,
        "maximize": [each.metric for each in spec.objectives if each.maximize],
        "minimize": [each.metric for each in spec.objectives if not each.maximize],
        "max_trials": spec.max_trials,
        "max_steps": None if spec.horizons else _steps(spec.max_steps),
        "horizons": list(spec.horizons),
        "sampler": None if spec.sampler.brought else spec.sampler.to_json(),
        "policy": _policy(spec),
        "unit": program.unit,
        "evaluate_every": program.evaluate_every,
        "seed": program.seed,
        "repeats": spec.repeats,
        "options": dict(program.options),
        "data_version": program.data_version,
        "deterministic": program.deterministic,
        "checkpoint_every": spec.checkpoint_every,
        "keep": str(spec.keep),
        "checkpoint_budget": spec.checkpoint_budget,
        "resources": resources,
        "priority": spec.priority,
        "endings": [each.to_json() for each in spec.endings],
        "constraints": [each.expression for each in spec.constraints],
        "env": dict(program.env),
        "secrets": list(spec.secrets),
        "initial": [_values(spec.hyperparameters(each)) for each in spec.initial],
        "space": {name: _entry(part, name) for name, part in spec.space.to_json().items()},
    }
    defaults = {
        "unit": DEFAULT_UNIT, "seed": 0, "repeats": 1, "data_version": "", "deterministic": True,
        "keep": str(KEEP_BEST), "resources": {"cpus": 1}, "priority": 0,
        "evaluate_every": 1 if program.unit == DEFAULT_UNIT else None,
    }  # fmt: skip
    kept: dict[str, Any] = {
        name: each
        for name, each in found.items()
        if name == "space" or (each not in (None, [], {}) and each != defaults.get(name))
    }
    for name in ("maximize", "minimize"):
        if len(kept.get(name, [])) == 1:
            kept[name] = kept[name][0]
    return kept


def _steps(steps: int | EndOf) -> Any:
    return {"end_of": steps.name} if isinstance(steps, EndOf) else steps


def _policy(spec: StudySpec) -> dict[str, Any]:
    json = spec.policy.to_json()
    if isinstance(spec.policy, OwnSpec):
        del json["code"]
    return json


def _entry(json: Any, name: str = "") -> Any:
    """What stands for a hyper-parameter: a bare list would read as a choice that is none."""
    if isinstance(json, list):
        return {"schedule": "constant", "value": _inner(json)}
    found = _inner(json)
    if isinstance(found, dict) and "domain" in found and found.get("name") == name:
        del found["name"]
    return found


def _inner(json: Any) -> Any:
    """What stands within it."""
    if isinstance(json, list):
        return [_inner(each) for each in json]
    if not isinstance(json, Mapping):
        return json
    if set(json) == {"float"}:
        return scalar_from_json(json)
    if not any(word in json for word in _FORMS):
        return {name: _entry(each) for name, each in json.items()}
    return {name: _inner(each) for name, each in json.items()}


def _values(hyperparameters: Mapping[str, Any]) -> dict[str, Scalar]:
    return {name: _inner(each) for name, each in hyperparameters.items()}
