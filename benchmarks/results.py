"""A run of the benchmarks as JSON: what was measured, when, and on which machine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Curve, Drawing, Figure
from benchmarks.moment import Moment

FOLDER = Path(__file__).resolve().parent / "results"


class UnreadableRun(Exception):
    """A file is no run of the benchmarks."""


class NoPlace(Exception):
    """A run cannot be written there."""


@dataclass(slots=True)
class Measured:
    """What a subject gave.

    Attributes:
        about: What it is, in one line.
        began: ISO 8601, UTC.
        commit: Of the repository.
        before: The machine before it.
        after: And after it; as nothing but zeros where the subject was ended.
        seconds: That measuring took.
        figures: In order.
        curves: In order.
        drawings: In order.
        failed: Why it ended early; empty: it did not.
    """

    about: str = ""
    began: str = ""
    commit: str = ""
    before: Moment = field(default_factory=Moment)
    after: Moment = field(default_factory=Moment)
    seconds: float = 0.0
    figures: list[Figure] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    failed: str = ""


@dataclass(slots=True)
class Results:
    """What was measured on one machine.

    Attributes:
        machine: As ``benchmarks.surroundings.description`` says it.
        subjects: By name, in the order in which they ran.
    """

    machine: Mapping[str, Any]
    subjects: dict[str, Measured] = field(default_factory=dict)

    def write(self, file: Path) -> None:
        """Writes all, in place of what was there: a process that is ended meanwhile leaves that."""
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(file)


def make_place(file: Path) -> None:
    """Makes the folder for a run's file, and tries to write there.

    Raises:
        NoPlace: It cannot be written, or something else is there.
    """
    if file.suffix != ".json" or (file.exists() and not file.is_file()):
        raise NoPlace(f"{file} is no file whose name ends with .json")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=file.parent).close()
    except OSError as error:
        raise NoPlace(f"{file} cannot be written: {error.strerror}") from error


def read(file: Path) -> Results:
    """Reads what was written.

    Raises:
        UnreadableRun: There is no such file, or something else is in it.
    """
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return Results(said["machine"], {name: _measured(each) for name, each in said["subjects"].items()})
    except OSError as error:
        raise UnreadableRun(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableRun(f"{file} holds no run of make bench ({type(error).__name__}: {error})") from error


def newest(count: int) -> list[Path]:
    """The files of the newest runs, the oldest of them first; they are named by their time."""
    return sorted(FOLDER.glob("*.json"))[-count:]


def _measured(said: Mapping[str, Any]) -> Measured:
    figures = [Figure(**{**each, "values": tuple(each["values"])}) for each in said["figures"]]
    curves = [
        Curve(**{**each, "lines": {label: tuple(map(tuple, line)) for label, line in each["lines"].items()}})
        for each in said["curves"]
    ]
    moments = {when: Moment(**said[when]) for when in ("before", "after")}
    drawings = [Drawing(**each) for each in said["drawings"]]
    return Measured(**{**said, **moments, "figures": figures, "curves": curves, "drawings": drawings})
