"""Runs Hippo and bare loops as processes, and reads the clocks that the workload writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WORKLOAD = Path(__file__).resolve().parent / "workload"
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "digits"
HIPPO = [sys.executable, "-m", "hippo_client.cli.main"]
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""The environment in which Hippo has its bytecode, as where it is installed: compiling takes a second of a start."""


@dataclass(frozen=True, slots=True)
class Clock:
    """When training began, and how long it took.

    Attributes:
        started: The first step's time, by the wall clock.
        seconds: From there to the last evaluation.
        processor_seconds: What the training process used meanwhile, all its threads together.
        between_seconds: How much of it passed between its steps and evaluations.
    """

    started: float
    seconds: float
    processor_seconds: float
    between_seconds: float


def read_clock(notes: Path) -> Clock:
    """Reads what the one process that trained wrote down."""
    (file,) = notes.glob("*.json")
    said = json.loads(file.read_text())
    started, ended = said["started"], said["ended"]
    seconds = ended["wall"] - started["wall"]
    return Clock(
        started=started["wall"],
        seconds=seconds,
        processor_seconds=ended["processor"] - started["processor"],
        between_seconds=seconds - said["within"],
    )


@contextmanager
def home() -> Iterator[Path]:
    """A home that is removed afterwards, with what runs in it."""
    folder = Path(tempfile.mkdtemp(prefix="hippo-bench-"))
    try:
        yield folder
    finally:
        try:
            hippo(folder, "down")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def hippo(folder: Path, *arguments: str) -> str:
    """Runs a ``hippo`` command in a home; gives what it prints."""
    done = subprocess.run(
        [*HIPPO, *arguments],
        env={**INSTALLED, "HIPPO_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"hippo {' '.join(arguments)} exits {done.returncode}\n{done.stderr}")
    return done.stdout


def study(
    folder: Path, name: str, repeats: int, steps: int, *, every: int = 1, changes: bool = False
) -> tuple[Path, Path]:
    """Writes a study of one trial into a folder of its own; gives the file and where the clocks are noted.

    Args:
        folder: Where its folder is made.
        name: Its name.
        repeats: How much work a step is.
        steps: How many there are.
        every: After how many steps the trial is evaluated.
        changes: Whether the learning rate changes at each step, or never.
    """
    here = folder / name
    here.mkdir()
    shutil.copy(WORKLOAD / "trainer.py", here)
    notes = folder / f"{name}-notes"
    notes.mkdir()
    lr = f"schedules.cosine(0.1, 0.0, period={steps})" if changes else "0.1"
    (here / "study.py").write_text(
        f"""
import hippo_client as hippo
from hippo_client import schedules

study = hippo.Study(
    "trainer:Clocked",
    {{"lr": {lr}}},
    name="{name}",
    minimize="loss",
    max_steps={steps},
    unit="iteration",
    evaluate_every={every},
    options={{"repeats": {repeats}, "notes": {str(notes)!r}}},
)
"""
    )
    return here / "study.py", notes


def bare(repeats: int, steps: int, device: str, *, every: int = 1, changes: bool = False) -> Clock:
    """The bare loop, from its first step to its last evaluation; the arguments are those of ``study``."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = [str(each) for each in (repeats, steps, every, int(changes))]
        arguments = [*numbers, device, f"{folder}/notes.json"]
        subprocess.run([sys.executable, str(WORKLOAD / "bare.py"), *arguments], check=True)
        return read_clock(Path(folder))


def torch_import_seconds() -> float:
    """Wall seconds of a process that imports torch and ends."""
    return _seconds("import torch")


def bare_start_seconds() -> float:
    """Wall seconds of a process that makes a PyTorch optimiser and ends: torch imports its compiler for that."""
    return _seconds("import torch; torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)")


def _seconds(program: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - began
