"""Loading a study file: ``STUDY.py``, ``STUDY.py:name`` or ``STUDY.yaml``.

What is written in YAML is read by ``hippo_client.study_yaml``. A Python file is executed with its folder on
``sys.path``, as Python executes a script, but not as ``__main__``: what it does below ``if __name__ == "__main__":`` is
left out. A trainer that it gives by name is not imported, so that a study can be planned and submitted where its
trainer could not run. Modules that it imports from its own folder are forgotten afterwards: the next study file may
have others of the same name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from difflib import get_close_matches
from pathlib import Path
from traceback import extract_tb
from types import CodeType, ModuleType, TracebackType

from hippo_client.origin import loading
from hippo_client.study import Study
from hippo_core.errors import HippoError, InvalidStudy

# No module of this name exists, so that a study file called random.py hides nothing while it is executed.
_MODULE_NAME = "__hippo_study__"
LARGEST_BYTES = 2**20
YAML_SUFFIXES = (".yaml", ".yml")


def load(reference: str | Path) -> Study:
    """The study that a file defines.

    Args:
        reference: The file; with ``:name`` the study of that name in it, needed where it defines several. One in YAML
            is one study.

    Raises:
        InvalidStudy: The file does not exist, fails, or does not define exactly one study; with file and
            line.
    """
    file, name = split_reference(reference)
    if file.suffix.lower() in YAML_SUFFIXES:
        return _read_yaml(file, name)
    return _choose(file, _execute(file), name)


def split_reference(reference: str | Path) -> tuple[Path, str | None]:
    """File and name of ``STUDY.py[:name]``."""
    text = str(reference)
    head, colon, tail = text.rpartition(":")
    if colon and tail.isidentifier() and not (len(head) == 1 and head.isalpha()):
        return Path(head), tail
    return Path(text), None


def _execute(file: Path) -> dict[str, object]:
    path = file.absolute()
    code = _compile(file, path)
    module = ModuleType(_MODULE_NAME)
    module.__file__ = str(path)
    with loading(path), _own_modules(module, path.parent), redirect_stdout(sys.stderr):
        try:
            exec(code, module.__dict__)  # noqa: S102 - a study file is a program
        except InvalidStudy as error:
            raise _located(error, file, path) from error
        except HippoError:
            raise
        except (Exception, SystemExit) as error:
            raise _failed(error, file, path) from error
    return dict(vars(module))


def _read_yaml(file: Path, name: str | None) -> Study:
    if name is not None:
        raise InvalidStudy(str(file), f"has no {name}: a YAML file is one study.", f"Give {file} alone.")
    from hippo_client import study_yaml

    return study_yaml.read(read_text(file), file, file.absolute())


def read_text(file: Path) -> str:
    """A file in UTF-8.

    Raises:
        InvalidStudy: It cannot be read, is too large, or is none.
    """
    try:
        return _read(file, file.absolute()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidStudy(
            str(file), f"is no UTF-8 text (byte {error.start}).", "Save it as UTF-8."
        ) from None


def _read(file: Path, path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            source = opened.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise InvalidStudy(
            str(file), f"cannot be read: {error.strerror}.", "Give the path of a study file."
        ) from error
    if len(source) > LARGEST_BYTES:
        raise InvalidStudy(
            str(file),
            "file over 1 MiB.",
            "Give the path of a study file; data belong into files that the trainer reads.",
        )
    return source


def _compile(file: Path, path: Path) -> CodeType:
    source = _read(file, path)
    try:
        return compile(source, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # a null byte is either, as the version of Python has it
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidStudy(f"{file}{line}", f"{said}.", "Correct the study file.") from error


@contextmanager
def _own_modules(module: ModuleType, folder: Path) -> Iterator[None]:
    before = dict(sys.modules)
    sys.modules[_MODULE_NAME] = module
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        for name, found in list(sys.modules.items()):
            if name == _MODULE_NAME or (name not in before and _lies_in(found, folder)):
                del sys.modules[name]


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    # A namespace package has only folders.
    places = list(getattr(module, "__path__", [])) if file is None else [file]
    # What is installed in an environment below the study's folder stays: torch cannot be imported twice.
    return any(
        Path(place).is_relative_to(folder) and "site-packages" not in Path(place).parts for place in places
    )


def _choose(file: Path, namespace: dict[str, object], name: str | None) -> Study:
    studies = {key: value for key, value in namespace.items() if isinstance(value, Study)}
    if name is not None:
        if name in studies:
            return studies[name]
        near = get_close_matches(name, studies, n=1)
        if name in namespace:
            problem = f"{name} is not a Study, but {type(namespace[name]).__name__}."
        else:
            problem = f"has no {name}."
        raise InvalidStudy(
            str(file), problem, f"Did you mean {file}:{near[0]}?" if near else _named(file, studies)
        )
    distinct = {id(study): key for key, study in studies.items()}
    if len(distinct) == 1:
        return next(iter(studies.values()))
    if not studies:
        raise InvalidStudy(str(file), "defines no Study at its top level.", "Add: study = hippo.Study(...)")
    raise InvalidStudy(str(file), f"defines {len(distinct)} studies.", _named(file, studies))


def _named(file: Path, studies: dict[str, Study]) -> str:
    if not studies:
        return "It defines no Study at its top level."
    return "Name one: " + ", ".join(f"{file}:{key}" for key in studies)


def _located(error: InvalidStudy, file: Path, path: Path) -> InvalidStudy:
    message = re.sub(rf"^{re.escape(error.field)}: ", "", error.message)
    line = _line(error.__traceback__, path)
    where = f" ({file}:{line})" if line else f" ({file})"
    return InvalidStudy(error.field, message.removesuffix(".") + where + ".", error.hint)


def _failed(error: BaseException, file: Path, path: Path) -> InvalidStudy:
    line = _line(error.__traceback__, path)
    where = f"{file}:{line}" if line else str(file)
    if isinstance(error, SystemExit):
        return InvalidStudy(
            where, "the study file ends the program.", 'Put this below: if __name__ == "__main__":'
        )
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    if isinstance(error, ModuleNotFoundError):
        return InvalidStudy(
            where,
            f"{said}.",
            'Install it here, or give the trainer by name ("module:Class"): only workers import that.',
        )
    frames = extract_tb(error.__traceback__)
    inner = frames[-1] if frames else None
    deeper = inner is not None and Path(inner.filename) != path
    place = f" (raised at {inner.filename}:{inner.lineno})" if inner is not None and deeper else ""
    return InvalidStudy(where, f"{said}{place}.", "Correct the study file.")


def _line(traceback: TracebackType | None, path: Path) -> int | None:
    """The innermost line of the study file itself."""
    lines = [frame.lineno for frame in extract_tb(traceback) if Path(frame.filename) == path]
    return lines[-1] if lines else None
