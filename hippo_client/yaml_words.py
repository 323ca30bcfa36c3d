"""What the checks of Python's arguments say, in the words of a study file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from inspect import Parameter
from typing import Any

_KIND_OF = {"policies": "policy", "samplers": "sampler", "endings": "ending"}
_OTHER_WORDS = {
    "None": "null",
    "True": "true",
    "False": "false",
    "an int": "a whole number",
    "a dict": "a mapping",
    "argument of Study": "word of a study file",
}
_CALLS = re.compile(r"\b(space|schedules|policies|samplers|endings)\.(\w+)(?:\(([^()]*)\))?")
_GIVEN = re.compile(r"\b([a-z_]+)=(?!=)(?=(\S?))")
_OTHER = re.compile(rf"\b({'|'.join(_OTHER_WORDS)})\b")


def in_yaml(text: str) -> str:
    """A message in which calls, arguments and constants of Python are what stands for them in YAML."""
    text = _GIVEN.sub(lambda found: f"{found[1]}: " if found[2] else f"{found[1]}:", _CALLS.sub(_entry, text))
    return _OTHER.sub(lambda found: _OTHER_WORDS[found[1]], text)


def _entry(call: re.Match[str]) -> str:
    module, word, arguments = call.groups()
    if arguments is None:
        return word
    if word == "end_of":
        return f"{{end_of: {arguments}}}"
    if module == "space":
        return f"{{{word}: {arguments if arguments.startswith('[') else f'[{arguments}]'}}}"
    kind = _KIND_OF.get(module, "schedule")
    if not arguments and kind != "schedule":
        return f"{kind}: {word}"
    return f"{{{', '.join(filter(None, [f'{kind}: {word}', arguments]))}}}"


def lacking(
    parameters: Mapping[str, Parameter], given: Iterable[str], names: Mapping[str, str]
) -> tuple[str, str] | None:
    """What an entry needs and lacks, and all that it takes; None: it lacks nothing.

    Args:
        parameters: Of the function that it stands for.
        given: By the function's names, what it has.
        names: By the function's name, the file's, where they differ.
    """
    had = set(given)
    for name, parameter in parameters.items():
        if parameter.default is Parameter.empty and name not in had:
            taken = (_taken(names.get(name, name), each) for name, each in parameters.items())
            return f"needs {names.get(name, name)}", f"It takes {', '.join(taken)}."
    return None


def _taken(name: str, parameter: Parameter) -> str:
    return name if parameter.default is Parameter.empty else f"{name} ({_written(parameter.default)})"


def _written(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_written, value))}]"
    return in_yaml(repr(value))
