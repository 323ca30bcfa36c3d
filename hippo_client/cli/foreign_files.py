"""``hippo study import`` for other systems' files: writes a study file, and says what became of each key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hippo_client import study_yaml
from hippo_client.cli.failures import ExitCode
from hippo_client.cli.terminal import print_json, say
from hippo_client.foreign_files import determined_experiment, wandb_sweep
from hippo_client.foreign_files.taking import Taking
from hippo_client.study_file import YAML_SUFFIXES, read_text
from hippo_client.yaml_text import dump, parse
from hippo_core.errors import InvalidStudy
from hippo_core.names import LONGEST_NAME, NAME

KINDS = ((wandb_sweep, "a W&B sweep"), (determined_experiment, "a Determined experiment"))
HEAD = "# Written by `hippo study import` from {file}.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command was given beside the file.

    Attributes:
        trainer: ``module:Class``.
        name: Of the study; None: as the file says.
        max_steps: How far trials are trained; None: as the file says.
        max_trials: How many there are; None: as the file says.
        skip: Whether what has no counterpart is left out.
        output: What is written; None: beside the file.
    """

    trainer: str | None
    name: str | None
    max_steps: int | None
    max_trials: int | None
    skip: bool
    output: Path | None


def is_study_text(file: Path) -> bool:
    """Whether a file is one that this reads, by its name."""
    return file.suffix.lower() in YAML_SUFFIXES


def import_foreign(file: Path, asked: Asked, as_json: bool) -> int:
    """Writes the study file of another system's file.

    Raises:
        InvalidStudy: The file is of no known kind, or what it says makes no study.
    """
    taking, kind = _taken(file)
    given = {
        "trainer": asked.trainer,
        "name": asked.name,
        "max_steps": asked.max_steps,
        "max_trials": asked.max_trials,
    }
    study = {**taking.study, **{key: each for key, each in given.items() if each is not None}}
    output = asked.output or file.with_name(f"{file.stem}-study.yaml")
    study["name"] = _name(study.get("name"), file, taking)
    left = taking.left()
    result: dict[str, Any] = {
        "study_file": None, "taken": taking.notes, "unsupported": [each.to_json() for each in left],
    }  # fmt: skip
    if not left or asked.skip:
        if output.exists():
            raise InvalidStudy("output", f"{output} exists already.", "Name another with --output.")
        order = ["trainer", *(key for key in study if key not in ("trainer", "space")), "space"]
        text = HEAD.format(file=file.name) + dump({key: study[key] for key in order if key in study})
        _check(text, output, asked)
        output.write_text(text)
        result["study_file"] = str(output)
    if as_json:
        print_json(result)
    else:
        for note in taking.notes:
            say(note)
        for each in left:
            say(f"{file}:{each.line}: {each.key}: {each.why}")
    if result["study_file"] is None:
        say(
            f"Nothing is written: {len(left)} keys of {kind} have no counterpart. --skip-unsupported leaves them out."
        )
        return ExitCode.USAGE
    if not as_json:
        click.echo(f"Written: {output}. `hippo plan {output}` says what it costs.")
    return ExitCode.DONE


def _taken(file: Path) -> tuple[Taking, str]:
    document = parse(read_text(file), str(file))
    for module, kind in KINDS:
        if module.is_one(document.value):
            taking = Taking(document)
            module.read(taking)
            return taking, kind
    hint = "A sweep has method and parameters, an experiment searcher and hyperparameters."
    if isinstance(document.value, dict) and "trainer" in document.value:
        hint = f"It is a study file: hippo submit {file}."
    raise InvalidStudy("file", f"{file} is neither a W&B sweep nor a Determined experiment.", hint)


def _name(given: Any, file: Path, taking: Taking) -> str:
    wanted = str(given) if given is not None else file.stem
    if NAME.fullmatch(wanted):
        return wanted
    near = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted, flags=re.ASCII).strip("._-")[:LONGEST_NAME] or "study"
    taking.notes.append(f"the name {wanted!r} -> {near}")
    return near


def _check(text: str, output: Path, asked: Asked) -> None:
    """That what is about to be written is a study."""
    if asked.trainer is None:
        raise InvalidStudy(
            "--trainer",
            "must be given: training code is written for one system.",
            "Write --trainer module:Class.",
        )
    try:
        study_yaml.read(text, output, output.absolute())
    except InvalidStudy as error:
        if error.field in ("max_steps", "max_trials"):
            option = f"--{error.field.replace('_', '-')}"
            raise InvalidStudy(error.field, "the file does not say it.", f"Give {option} N.") from error
        raise
