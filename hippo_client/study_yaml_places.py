"""Where in a study file an error belongs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

from hippo_client import space
from hippo_client.yaml_text import Document, Misplaced
from hippo_client.yaml_text import Path as Place
from hippo_client.yaml_words import in_yaml
from hippo_core.domain_calls import DOMAINS
from hippo_core.errors import InvalidStudy

_MODULES = {"policies": "policy", "samplers": "sampler", "objective": "maximize", "objectives": "maximize"}
_TOKEN = re.compile(r"\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]|\.?([^.\[\]]+)")
_UNKNOWN_ARGUMENT = re.compile(r"has no argument '([^']+)'")
DOMAIN_WORDS = tuple(word for word in DOMAINS if word in space.__all__)


@contextmanager
def told_at(document: Document, path: Place, prefix: int = 0, key: Place | None = None) -> Iterator[None]:
    """Errors of what stands at a path are told with its place.

    Args:
        document: The file.
        path: Where it stands.
        prefix: How many words of an error's field only say which function was called.
        key: The entry whose key is wrong, if something is.
    """
    try:
        yield
    except Misplaced:
        raise
    except InvalidStudy as error:
        message, hint = _in_words_of_the_file(error)
        if key is not None:
            raise document.refused(key, message, hint, key=True) from error
        unknown = _UNKNOWN_ARGUMENT.search(message)
        inner = document.inner(path)
        if unknown and isinstance(inner, dict) and unknown[1] in inner:
            raise document.refused((*path, unknown[1]), "is not known", hint, key=True) from error
        rest = "".join(f"[{each!r}]" for each in tokens_of(error.field)[prefix:])
        raise placed(error, document, path, rest) from error


def tokens_of(field: str) -> list[str | int]:
    """The names and indices that an error's field is made of."""
    return [
        int(number) if number else quoted or twice or word
        for number, quoted, twice, word in _TOKEN.findall(field)
    ]


def placed(error: InvalidStudy, document: Document, path: Place, field: str) -> Misplaced:
    """An error, with the place of its field within what stands at a path: as near as the file has it."""
    tokens = tokens_of(field)
    if tokens and not path:
        tokens[0] = _MODULES.get(str(tokens[0]), tokens[0])
        if tokens[0] == "maximize" and "maximize" not in document.value and "minimize" in document.value:
            tokens[0] = "minimize"
    found, left = path, list(tokens)
    while left:
        taken = _step(document.inner(found), left)
        if taken is None:
            break
        names, left = taken
        found = (*found, *names)
    message, hint = _in_words_of_the_file(error)
    return document.refused(found, message, hint, field=error.field if left and not path else "")


def _in_words_of_the_file(error: InvalidStudy) -> tuple[str, str]:
    """What a check of Python's arguments says, and its hint."""
    return in_yaml(error.message.removeprefix(f"{error.field}: ")), in_yaml(error.hint)


def _step(inner: Any, tokens: list[str | int]) -> tuple[Place, list[str | int]] | None:
    """One step further into a file, and the tokens that are left; None: it has no such entry."""
    token, *rest = tokens
    if isinstance(inner, list):
        if isinstance(token, int):
            return ((token,), rest) if token < len(inner) else None
        for index, each in enumerate(inner):
            if each == token or (isinstance(each, dict) and token in each.values()):
                return (index,), rest
        return None
    if not isinstance(inner, dict) or not isinstance(token, str):
        return None
    words = token.split(".")
    for end in range(len(words), 0, -1):
        head, tail = ".".join(words[:end]), ".".join(words[end:])
        if head in inner:
            return (head,), [tail, *rest] if tail else rest
    if token in (inner.get(word) for word in ("policy", "sampler")):
        return (), rest
    for word in DOMAIN_WORDS:  # a short form: its arguments are a list
        if isinstance(inner.get(word), list) and word != "choice":
            order = list(signature(DOMAINS[word]).parameters)  # type: ignore[arg-type]
            if token in order and order.index(token) < len(inner[word]):
                return (word, order.index(token)), rest
    return None
