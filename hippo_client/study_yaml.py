"""Study files in YAML: the arguments of ``hippo.Study`` by their names.

What stands for a schedule, a domain, a sampler, a policy or an ending has the form of its JSON: ``{schedule: cosine,
initial: 0.1, ...}``, ``{policy: asha, min_steps: 1}``. A shorter form is read where it can mean nothing else: a bare
``policy: asha``, and for a domain its arguments in order: ``{choice: [...]}``, ``{loguniform: [1e-4, 1e-1]}``.

The checks are those of ``Study``. The field of an error is looked up in the file, so that it is told with line and
column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from hippo_client import endings, policies, samplers, schedules, space
from hippo_client.origin import loading
from hippo_client.study import Study
from hippo_client.study_arguments import ARGUMENTS, refuse_unknown
from hippo_client.study_yaml_places import DOMAIN_WORDS, placed, told_at
from hippo_client.yaml_text import Document, Misplaced, parse
from hippo_client.yaml_text import Path as Place
from hippo_client.yaml_words import in_yaml, lacking
from hippo_core.arguments import suggestion
from hippo_core.domain_calls import DOMAINS
from hippo_core.errors import InvalidStudy
from hippo_core.program import Resources

REQUIRED = {
    "trainer": 'Write "trainer: module:Class", for a class in module.py beside the study file.',
    "space": "Write the hyper-parameters below it, by name.",
}


SCHEDULE_WORDS = tuple(word for word in schedules.__all__ if word != "from_function")
_LIST = "To choose from it, write {choice: [...]}; a value of several parts is {schedule: constant, value: [...]}."


def read(text: str, file: Path, path: Path) -> Study:
    """The study that a text says.

    Args:
        text: The text.
        file: As a person named it, for messages.
        path: The same, absolute: where the trainer is found.

    Raises:
        Misplaced: It says none.
    """
    document = parse(text, str(file))
    if not isinstance(document.value, dict):
        raise document.refused((), "is no study: its arguments by name are wanted", "Begin with trainer: ...")
    for name in document.value:
        if name not in ARGUMENTS:
            with told_at(document, (), key=(name,)):
                refuse_unknown({name: None})
    for name, hint in REQUIRED.items():
        if document.value.get(name) is None:
            raise document.refused((), "must be given", hint, field=name)
    given = {
        name: _READERS[name](document, value, (name,)) if name in _READERS else value
        for name, value in document.value.items()
    }
    with loading(path):
        try:
            return Study(**given)
        except Misplaced:
            raise
        except InvalidStudy as error:
            raise placed(error, document, (), error.field) from error


def _space(document: Document, value: Any, path: Place) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise document.refused(path, f"must be hyper-parameters by name, not {value!r}", REQUIRED["space"])
    return _entries(document, value, path)


def _entries(document: Document, value: Mapping[str, Any], path: Place) -> dict[str, Any]:
    found = {}
    for name, each in value.items():
        if isinstance(each, list):
            raise document.refused((*path, name), "a list is no value", _LIST)
        found[name] = _part(document, each, (*path, name))
    return found


def _part(document: Document, value: Any, path: Place) -> Any:
    """A value, a schedule, a domain, a constraint, or a sub-space."""
    if isinstance(value, list):
        return tuple(_part(document, each, (*path, index)) for index, each in enumerate(value))
    if not isinstance(value, dict):
        return value
    if "schedule" in value:
        return _schedule(document, value, path)
    if "domain" in value:
        return _domain(document, value, path)
    if "constraint" in value:
        return _called(document, path, space.constraint, _renamed(value, "constraint", "expression"))
    word = next((each for each in DOMAIN_WORDS if each in value), None)
    if word is not None:
        return _short_domain(document, value, path, word)
    return _entries(document, value, path)


def _renamed(value: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if name == old else name: each for name, each in value.items()}


def _called(
    document: Document,
    path: Place,
    function: Callable[..., Any],
    given: Mapping[str, Any],
    names: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """What a function makes of what an entry has.

    Args:
        document: The file.
        path: Where the entry stands.
        function: The function.
        given: By its names, what the entry has.
        names: By its name, the file's, where they differ.
    """
    known = signature(function).parameters
    lacks = lacking(known, given, names) if set(given) <= set(known) else None
    if lacks is not None:
        raise document.refused(path, *lacks)
    with told_at(document, path, prefix=2):
        return function(**given)


def _arguments(document: Document, value: Mapping[str, Any], path: Place, but: str) -> dict[str, Any]:
    return {name: _part(document, each, (*path, name)) for name, each in value.items() if name != but}


def _schedule(document: Document, value: Mapping[str, Any], path: Place) -> Any:
    word = value["schedule"]
    if word == "from_function":
        hint = "Write its values: {schedule: table, values: [...]}."
        raise document.refused((*path, "schedule"), "a file has no functions", hint)
    if word not in SCHEDULE_WORDS:
        raise _unknown(document, (*path, "schedule"), schedules, "schedule", word)
    given = _arguments(document, value, path, "schedule")
    if word == "rounded":  # the word of its argument marks a schedule
        given = _renamed(given, "of", "schedule")
        return _called(document, path, schedules.rounded, given, {"schedule": "of"})
    return _called(document, path, getattr(schedules, word), given)


def _domain(document: Document, value: Mapping[str, Any], path: Place) -> Any:
    word = value["domain"]
    if word not in tuple(DOMAINS):
        raise document.refused(
            (*path, "domain"), f"there is no domain {word!r}", suggestion(str(word), DOMAIN_WORDS)
        )
    return _drawn(document, path, word, _arguments(document, value, path, "domain"))


def _short_domain(document: Document, value: Mapping[str, Any], path: Place, word: str) -> Any:
    order = ["..."] if word == "choice" else [*_parameters(word)]
    if not isinstance(value[word], list):
        hint = f"Write {{{word}: [{', '.join(order)}]}}."
        raise document.refused((*path, word), f"takes a list, not {value[word]!r}", hint)
    beside = {name: each for name, each in value.items() if name != word}
    for name in beside:
        if name not in ("name", *(["type"] if word == "choice" else [])):
            raise document.refused(
                (*path, name),
                f"cannot stand beside {word}",
                f"Write {{{word}: [...]}} alone, or with a name.",
                key=True,
            )
    listed = _part(document, value[word], (*path, word))
    if word == "choice":
        return _drawn(document, path, word, {"options": listed, **beside})
    if len(listed) != len(order):
        raise document.refused(
            (*path, word),
            f"takes {len(order)} numbers, {', '.join(order)}, not {len(listed)}",
            f"Write {{{word}: [{', '.join(order)}]}}.",
        )
    return _drawn(document, path, word, {**dict(zip(order, listed, strict=True)), **beside})


def _parameters(word: str) -> Iterator[str]:
    """The names of what a domain takes, in order, beside its own."""
    return (each for each in signature(DOMAINS[word]).parameters if each != "name")  # type: ignore[arg-type]


def _drawn(document: Document, path: Place, word: str, given: dict[str, Any]) -> Any:
    if given.get("type") is not None:
        types = {"float": float, "int": int}
        if given["type"] not in tuple(types):
            raise document.refused((*path, "type"), f"must be float or int, not {given['type']!r}")
        given["type"] = types[given["type"]]
    if word == "choice" and isinstance(given.get("options"), tuple):
        given["options"] = list(given["options"])
    return _called(document, path, DOMAINS[word], given)  # type: ignore[arg-type]


def _unknown(document: Document, path: Place, module: ModuleType, mark: str, word: Any) -> Misplaced:
    """That a module has no function of a word; with its own hint."""
    hint = suggestion(str(word), module.__all__)
    if isinstance(word, str) and not word.startswith("_"):
        try:
            module.__getattr__(word)
        except InvalidStudy as error:
            hint = error.hint
    return document.refused(path, f"there is no {mark} {word!r}", hint)


def _marked(document: Document, value: Any, path: Place, mark: str, example: str) -> dict[str, Any]:
    """``{mark: word, ...}``, or the word alone."""
    found = {mark: value} if isinstance(value, str) else value
    if not isinstance(found, dict) or not isinstance(found.get(mark), str):
        raise document.refused(
            path,
            f"must be like {{{mark}: {example}}}, not {in_yaml(repr(value))}",
            f"Write {mark}: {example}.",
        )
    return found


def _function(
    document: Document, path: Place, module: ModuleType, word: str, mark: str
) -> Callable[..., Any]:
    if word not in module.__all__:
        at = (*path, mark) if isinstance(document.inner(path), dict) else path
        raise _unknown(document, at, module, mark, word)
    found: Callable[..., Any] = getattr(module, word)
    return found


def _named(
    module: ModuleType, mark: str, example: str, positional: Mapping[str, str]
) -> Callable[[Document, Any, Place], Any]:
    """Reads ``{mark: word, argument: ...}``.

    Args:
        module: Where the function of a word is.
        mark: The key of the word.
        example: A word, for messages.
        positional: By word, the key of what is given first; its further arguments are below ``arguments``.
    """

    def read_it(document: Document, value: Any, path: Place) -> Any:
        found = _marked(document, value, path, mark, example)
        word = found[mark]
        function = _function(document, path, module, word, mark)
        given = {name: each for name, each in found.items() if name != mark}
        if word not in positional:
            return _called(document, path, function, given)
        first = positional[word]
        for name in given:
            if name not in (first, "arguments"):
                raise document.refused(
                    (*path, name), "is not known", f"Known are: {first}, arguments.", key=True
                )
        further = given.get("arguments") or {}
        if first not in given or not isinstance(further, dict):
            raise document.refused(
                path, f"{word} takes {first}, and arguments by name", f"Write {first}: ..."
            )
        with told_at(document, (*path, first)):
            return function(given[first], **further)

    return read_it


def _max_steps(document: Document, value: Any, path: Place) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) != {"end_of"}:
        raise document.refused(
            path, f"must be a number of steps or {{end_of: NAME}}, not {value!r}", "Write e.g. 27."
        )
    return _called(document, path, space.end_of, {"name": value["end_of"]})


def _endings(document: Document, value: Any, path: Place) -> Any:
    if not isinstance(value, list):
        raise document.refused(path, f"must be a list, not {value!r}", "Write - {ending: timeout, hours: 2}.")
    return [_ENDING(document, each, (*path, index)) for index, each in enumerate(value)]


def _resources(document: Document, value: Any, path: Place) -> Any:
    known = list(signature(Resources).parameters)
    if not isinstance(value, dict):
        raise document.refused(
            path, f"must be like {{cpus: 2}}, not {value!r}", f"Known are: {', '.join(known)}."
        )
    for name in value:
        if name not in known:
            raise document.refused((*path, name), "is not known", suggestion(name, known), key=True)
    with told_at(document, path, prefix=1):
        return Resources(**value)


_ENDING = _named(endings, "ending", "timeout", {})


_READERS: Mapping[str, Callable[[Document, Any, Place], Any]] = {
    "space": _space,
    "max_steps": _max_steps,
    "sampler": _named(samplers, "sampler", "tpe", {"optuna": "name"}),
    "policy": _named(policies, "policy", "asha", {"own": "reference"}),
    "endings": _endings,
    "resources": _resources,
}
