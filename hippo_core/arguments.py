"""Calls that people write in study files: wrong arguments are told in words, with the remedy."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from hippo_core.errors import InvalidStudy
from hippo_core.values import Scalar, clean

P = ParamSpec("P")
R = TypeVar("R")


def suggestion(word: str, known: Iterable[str], peers: Mapping[str, str] | None = None) -> str:
    """What may have been meant by a word that is not known.

    Args:
        word: The word.
        known: The known ones.
        peers: For words that other systems use, ours.
    """
    names = list(known)
    if peers and word in peers:
        return f"Use {peers[word]}."
    plain = {_plain(each): each for each in names}
    theirs = {_plain(each): ours for each, ours in (peers or {}).items()}
    if _plain(word) not in plain and _plain(word) in theirs:
        return f"Use {theirs[_plain(word)]}."
    near = difflib.get_close_matches(word, names, n=1)
    same = plain.get(_plain(word)) or (near[0] if near else None)
    if same:
        return f"Did you mean {same!r}?"
    theirs_near = difflib.get_close_matches(word, peers or {}, n=1)
    if peers and theirs_near:
        return f"Did you mean {theirs_near[0]!r}? Use {peers[theirs_near[0]]}."
    return f"Known are: {', '.join(names)}." if names else "There is none to give."


def _plain(word: str) -> str:
    """A word without regard to case and underscores: ``ForkASHA`` is ``fork_asha``."""
    return word.replace("_", "").lower()


def worded(label: str, peers: Mapping[str, str] | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorates a function so that arguments that do not fit raise ``InvalidStudy``.

    Args:
        label: How a person calls it: ``schedules.cosine``.
        peers: For argument names that other systems use, ours.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise _explained(label, signature, args, kwargs, peers or {}, error) from None
            return function(*args, **kwargs)

        return call

    return decorate


def _explained(
    label: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    peers: Mapping[str, str],
    error: TypeError,
) -> InvalidStudy:
    names = list(signature.parameters)
    for name in kwargs:
        if name not in names:
            return InvalidStudy(label, f"has no argument {name!r}", suggestion(name, names, peers))
    if len(args) > len(names):
        return InvalidStudy(label, f"takes {len(names)} arguments, not {len(args)}", f"{label}{signature}")
    given = set(names[: len(args)]) | set(kwargs)
    for name, parameter in signature.parameters.items():
        if name not in given and parameter.default is inspect.Parameter.empty:
            return InvalidStudy(label, f"needs the argument {name!r}", f"{label}{signature}")
    return InvalidStudy(label, str(error), f"{label}{signature}")


def scalar(value: Any, where: str) -> Scalar:
    """A value that stands in a space.

    Raises:
        InvalidStudy: It is not one.
    """
    try:
        return clean(value)
    except ValueError as error:
        hint = ""
        if isinstance(value, list | set | range):
            hint = "To choose from it, write space.choice([...]); a value of several parts is a tuple."
        elif isinstance(value, float):
            hint = "Give a finite number."
        elif not isinstance(value, int | float | str):
            hint = "Values are int, float, bool, None, text and tuples of these; or a schedule, or a domain."
        raise InvalidStudy(where, str(error), hint) from None


def number(value: Any, where: str) -> float:
    """A finite number, as a float.

    Raises:
        InvalidStudy: It is not one.
    """
    found = scalar(value, where)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise InvalidStudy(where, f"must be a number, not {found!r}", "Write a number, such as 0.1.")
    try:
        return float(found)
    except OverflowError:
        raise InvalidStudy(where, f"{found!r} is too large for a float", "Give a smaller number.") from None


def integer(value: Any, where: str, least: int | None = None) -> int:
    """An int of at least ``least``.

    Raises:
        InvalidStudy: It is not one.
    """
    found = scalar(value, where)
    if isinstance(found, bool) or not isinstance(found, int):
        exact = int(found) if isinstance(found, float) and found.is_integer() else None
        hint = "Give a whole number." if exact is None else f"Write {exact}."
        raise InvalidStudy(where, f"must be an int, not {found!r}", hint)
    if least is not None and found < least:
        raise InvalidStudy(where, f"must be at least {least}, not {found}", f"Give {least} or more.")
    return found
