"""The classes that a study names: ``module:attribute``, or a class, brought into that form."""

from __future__ import annotations

import sys
from pathlib import Path

from hippo_client.class_kinds import TRAINER, ClassKind
from hippo_client.origin import Origin
from hippo_core.errors import InvalidStudy
from hippo_core.program import TRAINER as REFERENCE


def refer(given: object, origin: Origin, kind: ClassKind = TRAINER) -> str:
    """The reference by which a worker finds a class in the bundle.

    Args:
        given: What the study was given: a reference, or the class itself.
        origin: Where the study was written.
        kind: What is wanted.

    Raises:
        InvalidStudy: It is neither, or workers could not find it.
    """
    if isinstance(given, str):
        if not REFERENCE.fullmatch(given):
            raise InvalidStudy(kind.field, f"{given!r} is not of the form module:attribute.", kind.form)
        module, _, attribute = given.partition(":")
        if module.endswith(".py"):
            written = f"{module.removesuffix('.py')}:{attribute}"
            raise InvalidStudy(kind.field, f"{given!r} names a file.", f"Write {written!r}.")
        return given
    if not isinstance(given, type):
        what = "an instance" if hasattr(given, list(kind.methods)[-1]) else "of type"
        raise InvalidStudy(
            kind.field, f"{what} {type(given).__name__} is given; a class or its name is wanted.", kind.form
        )
    _require(given, kind)
    if "<locals>" in given.__qualname__:
        raise InvalidStudy(
            kind.field,
            f"{given.__qualname__} is defined inside a function, where workers cannot find it.",
            "Define it at the top level of its module.",
        )
    return f"{_module(given, origin, kind)}:{given.__qualname__}"


def _require(given: type, kind: ClassKind) -> None:
    if not issubclass(given, kind.base):
        raise InvalidStudy(
            kind.field,
            f"{given.__name__} is no {kind.base.__name__}.",
            f"Write: class {given.__name__}({kind.derives}).",
        )
    missing = [name for name in kind.methods if name in getattr(given, "__abstractmethods__", ())]
    if missing:
        raise InvalidStudy(kind.field, f"{given.__name__} lacks {_listed(missing)}.", kind.duty)


def _module(given: type, origin: Origin, kind: ClassKind) -> str:
    file = _source_file(given)
    if file is None and given.__module__ == "__main__":
        raise InvalidStudy(
            kind.field,
            f"{given.__name__} is defined in a notebook or an interactive session, which workers lack.",
            f"Put `%%writefile {kind.cell}.py` at the top of its cell and give "
            f'"{kind.cell}:{given.__name__}" instead of the class.',
        )
    # The study file runs as __main__, or under the loader's name: workers import it by its own.
    if file is not None and (given.__module__ == "__main__" or file == origin.file):
        if not file.stem.isidentifier():
            raise InvalidStudy(
                kind.field,
                f"it is defined in {file.name}, which cannot be imported under that name.",
                f"Rename the file to letters, digits and underscores, or move the class to {kind.cell}.py.",
            )
        return file.stem
    return given.__module__


def _source_file(given: type) -> Path | None:
    module = sys.modules.get(given.__module__)
    named = getattr(module, "__file__", None)
    return None if named is None else Path(named).absolute()


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
