"""The trainer that a study names: ``module:attribute``, or a class, brought into that form."""

from __future__ import annotations

import sys
from pathlib import Path

from hippo_client.origin import Origin
from hippo_client.trainer_source import METHODS
from hippo_core.errors import InvalidStudy
from hippo_core.program import TRAINER
from hippo_core.training import Trainer

_FORM = 'Give "module:Class", e.g. "trainer:DigitsTrainer" for a class in trainer.py beside the study file.'


def refer(trainer: object, origin: Origin) -> str:
    """The reference by which a worker finds the trainer in the bundle.

    Args:
        trainer: What the study was given: a reference, or the class itself.
        origin: Where the study was written.

    Raises:
        InvalidStudy: It is neither, or workers could not find it.
    """
    if isinstance(trainer, str):
        if not TRAINER.fullmatch(trainer):
            raise InvalidStudy("trainer", f"{trainer!r} is not of the form module:attribute.", _FORM)
        module, _, attribute = trainer.partition(":")
        if module.endswith(".py"):
            written = f"{module.removesuffix('.py')}:{attribute}"
            raise InvalidStudy("trainer", f"{trainer!r} names a file.", f"Write {written!r}.")
        return trainer
    if not isinstance(trainer, type):
        what = "an instance" if hasattr(trainer, "train") else "of type"
        raise InvalidStudy(
            "trainer", f"{what} {type(trainer).__name__} is given; a class or its name is wanted.", _FORM
        )
    _require_trainer(trainer)
    if "<locals>" in trainer.__qualname__:
        raise InvalidStudy(
            "trainer",
            f"{trainer.__qualname__} is defined inside a function, where workers cannot find it.",
            "Define it at the top level of its module.",
        )
    return f"{_module(trainer, origin)}:{trainer.__qualname__}"


def _require_trainer(trainer: type) -> None:
    if not issubclass(trainer, Trainer):
        raise InvalidStudy(
            "trainer",
            f"{trainer.__name__} is no Trainer.",
            f"Write: class {trainer.__name__}(hippo.Trainer).",
        )
    missing = [name for name in METHODS if name in trainer.__abstractmethods__]
    if missing:
        raise InvalidStudy(
            "trainer",
            f"{trainer.__name__} lacks {_listed(missing)}.",
            "A trainer has setup, apply, train and evaluate.",
        )


def _module(trainer: type, origin: Origin) -> str:
    file = _source_file(trainer)
    if file is None and trainer.__module__ == "__main__":
        raise InvalidStudy(
            "trainer",
            f"{trainer.__name__} is defined in a notebook or an interactive session, which workers lack.",
            "Put `%%writefile trainer.py` at the top of its cell and give "
            f'"trainer:{trainer.__name__}" instead of the class.',
        )
    # The study file runs as __main__, or under the loader's name: workers import it by its own.
    if file is not None and (trainer.__module__ == "__main__" or file == origin.file):
        if not file.stem.isidentifier():
            raise InvalidStudy(
                "trainer",
                f"it is defined in {file.name}, which cannot be imported under that name.",
                "Rename the file to letters, digits and underscores, or move the class to trainer.py.",
            )
        return file.stem
    return trainer.__module__


def _source_file(trainer: type) -> Path | None:
    module = sys.modules.get(trainer.__module__)
    named = getattr(module, "__file__", None)
    return None if named is None else Path(named).absolute()


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
