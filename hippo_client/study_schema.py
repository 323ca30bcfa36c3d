"""The JSON Schema of study files in YAML, for editors: made of the functions that the files name, and their arguments.

It is narrower than no schema and wider than ``Study``: what depends on several values, only ``Study`` checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, signature
from typing import Any

from hippo_client import endings, policies, samplers, schedules
from hippo_client.study import Study
from hippo_client.study_arguments import ARGUMENTS
from hippo_client.study_yaml import REQUIRED, SCHEDULE_WORDS
from hippo_client.study_yaml_places import DOMAIN_WORDS
from hippo_core.domain_calls import DOMAINS
from hippo_core.policies.own import REFERENCE
from hippo_core.program import TRAINER, Resources
from hippo_core.space_reading import RESERVED

Schema = dict[str, Any]

_TYPES: Mapping[str, Schema] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "None": {"type": "null"},
    "Number": {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/domain"}]},
    "Count": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/domain"}]},
    "Part": {"$ref": "#/$defs/part"},
    "Scalar": {"$ref": "#/$defs/value"},
    "Domain": {"$ref": "#/$defs/domain"},
    "Mapping[str, Any]": {"type": "object"},
    "Mapping[str, str]": {"type": "object", "additionalProperties": {"type": "string"}},
}


def schema() -> Schema:
    """The schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study of Hippo",
        "type": "object",
        "properties": {name: _argument(name) for name in ARGUMENTS},
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": _definitions(),
    }


def _argument(name: str) -> Schema:
    """An argument of ``Study``."""
    special: Mapping[str, Schema] = {
        "trainer": {"type": "string", "pattern": f"^{TRAINER.pattern}$"},
        "space": {"$ref": "#/$defs/space"},
        "max_steps": {
            "anyOf": [{"type": ["integer", "null"]}, _object({"end_of": {"type": "string"}}, ["end_of"])]
        },
        "sampler": _named(samplers, "sampler", {"optuna": ("name", {"type": "string"})}),
        "policy": _named(
            policies,
            "policy",
            {"own": ("reference", {"type": "string", "pattern": f"^{REFERENCE.pattern}$"})},
        ),
        "resources": _object(_properties(Resources), []),
        "endings": {"type": "array", "items": _named(endings, "ending", {})},
        "initial": {"type": "array", "items": {"type": "object"}},
    }
    return special[name] if name in special else _type(signature(Study).parameters[name].annotation)


def _definitions() -> dict[str, Schema]:
    plain = [{"type": ["null", "boolean", "number", "string"]}]
    listed = {"type": "array", "items": {"$ref": "#/$defs/part"}}
    constraint = _object({"constraint": {"type": "string"}}, ["constraint"])
    drawn = [{"$ref": "#/$defs/schedule"}, {"$ref": "#/$defs/domain"}]
    return {
        "value": {"anyOf": [*plain, {"type": "array", "items": {"$ref": "#/$defs/value"}}]},
        "part": {"anyOf": [*plain, *drawn, listed, {"$ref": "#/$defs/space"}]},
        "space": {
            "type": "object",
            "propertyNames": {"not": {"enum": list(RESERVED)}},
            "additionalProperties": {"anyOf": [*plain, *drawn, constraint, {"$ref": "#/$defs/space"}]},
        },
        "schedule": {"anyOf": [_schedule(word) for word in SCHEDULE_WORDS]},
        "domain": {"anyOf": [each for word in DOMAIN_WORDS for each in _domain(word)]},
    }


def _schedule(word: str) -> Schema:
    function = getattr(schedules, word)
    renamed = {"schedule": "of"} if word == "rounded" else {}
    return _marked("schedule", word, function, renamed)


def _domain(word: str) -> list[Schema]:
    """By the names of its arguments, and by their order."""
    function: Callable[..., Any] = DOMAINS[word]  # type: ignore[assignment]
    long = _marked("domain", word, function, {})
    name: Schema = {"type": ["string", "null"]}
    beside: dict[str, Schema] = {"name": name}
    if word == "choice":
        beside["type"] = long["properties"]["type"] = {"enum": ["float", "int", None]}
        order: Schema = {"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 1}
    else:
        given = [
            _type(each.annotation) for each in signature(function).parameters.values() if each.name != "name"
        ]
        order = {"type": "array", "prefixItems": given, "minItems": len(given), "maxItems": len(given)}
    return [long, _object({word: order, **beside}, [word])]


def _named(module: Any, mark: str, positional: Mapping[str, tuple[str, Schema]]) -> Schema:
    """``{mark: word, ...}``; or the word alone, where it needs nothing else."""
    forms: list[Schema] = []
    alone: list[str] = []
    for word in module.__all__:
        if word in positional:
            first, what = positional[word]
            forms.append(
                _object({mark: {"const": word}, first: what, "arguments": {"type": "object"}}, [mark, first])
            )
            continue
        form = _marked(mark, word, getattr(module, word), {})
        forms.append(form)
        if form["required"] == [mark]:
            alone.append(word)
    nothing = [] if mark == "ending" else [{"type": "null"}]
    return {"anyOf": [{"enum": alone}, *forms, *nothing]}


def _marked(mark: str, word: str, function: Callable[..., Any], renamed: Mapping[str, str]) -> Schema:
    properties = {renamed.get(name, name): each for name, each in _properties(function).items()}
    required = [
        renamed.get(each.name, each.name)
        for each in signature(function).parameters.values()
        if each.default is Parameter.empty
    ]
    return _object({mark: {"const": word}, **properties}, [mark, *required])


def _properties(function: Callable[..., Any]) -> dict[str, Schema]:
    return {name: _type(each.annotation) for name, each in signature(function).parameters.items()}


def _object(properties: Mapping[str, Schema], required: Iterable[str]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _type(annotation: str) -> Schema:
    """What an argument's annotation says; of a type that is none of JSON's, anything."""
    found = []
    for word in _alternatives(annotation):
        if word.startswith("Sequence[") and word.endswith("]"):
            found.append({"type": "array", "items": _type(word.removeprefix("Sequence[")[:-1])})
        elif word in _TYPES:
            found.append(_TYPES[word])
        elif word != "Path":  # of files in Python
            return {}
    return found[0] if len(found) == 1 else {"anyOf": found}


def _alternatives(annotation: str) -> list[str]:
    """The parts of ``A | B[C | D]`` that are not within brackets."""
    found, depth = [""], 0
    for letter in annotation.replace(" ", ""):
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if letter == "|" and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [each.replace(",", ", ") for each in found]
