"""The control planes of Optuna and Ray Tune: trials that train nothing, and how Optuna's answers grow with its study.

What Hippo does of the kind is the subject ``control``. The peers' trials report one value (Optuna) or ten (Ray Tune)
ten times. Optuna's studies are filled by SQL, with what its own trials leave there. Ray Tune keeps a study in one
process and is asked by nobody: its study grows by what it trains, for as long as it is given, and measured is what its
trials wait for, a report's return, and their process's next trial.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.control.playing import quantile
from benchmarks.figures import Curve, Figure
from benchmarks.peers import environments
from benchmarks.peers.environments import python_of
from benchmarks.peers.running import SYSTEMS, with_postgres

SLOTS = (1, 2, 16, 64)
ROUNDS = {2: 3}
"""By slots; one of others, as starting so many processes takes a peer a minute and more."""
SECONDS = 8
RAY_TRIALS = 150
"""A rate is of so many; as many as there are slots are left out before, as their processes start."""
RAY_SLOTS = 2
RAY_SIZES = (0, 1_000, 10_000)
RAY_SECONDS = 90.0
"""In which Ray Tune's study grows as far as it does."""
RAY_WARM = 20
RAY_SEEN = 150
"""Trials that are left out, as processes start, and those that are looked at from each size on."""
SIZES = (0, 10_000, 100_000)
MS = 1e3


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of Ray Tune's.

    Attributes:
        process: The id of the process that trained it.
        began: When it began there, by the wall clock.
        ended: When its last report had returned.
        reports: Seconds that each of its reports took.
    """

    process: int
    began: float
    ended: float
    reports: list[float]


def prepare() -> None:
    """Their environments."""
    environments.prepare(("optuna", "ray"))


def measure() -> Iterator[Figure | Curve]:
    """Rates first, in turn; then how answers grow. A peer that fails costs the other no figure."""
    failures: list[str] = []
    yield from _rates(failures)
    for name, growth in (("Optuna", _optuna_growth), ("Ray Tune", _ray_growth)):
        try:
            yield from growth()
        except RuntimeError as error:
            failures.append(f"{name} as it grows: {error}")
    if failures:
        raise RuntimeError("; ".join(failures))


def _rates(failures: list[str]) -> Iterator[Figure]:
    completed: Mapping[str, Callable[[int], list[float]]] = {
        "Optuna": lambda slots: _optuna("rate", str(slots), str(SECONDS)),
        "Ray Tune": lambda slots: _ray(slots, RAY_TRIALS + slots, math.inf)["completed"][slots:],
    }
    for slots in SLOTS:
        rates: dict[str, list[float]] = {name: [] for name in completed}
        for _ in range(ROUNDS.get(slots, 1)):
            for name, values in rates.items():
                try:
                    values.append(_rate(completed[name](slots)))
                except RuntimeError as error:
                    failures.append(f"{name}'s rate at {slots} slots: {error}")
        for name, values in rates.items():
            if values:
                named = f"no-op trials, {slots} slots, {name}"
                yield Figure(named, tuple(values), "trials/s", more_is_better=True)


def _optuna_growth() -> Iterator[Figure | Curve]:
    """What Optuna answers to a new process, with a study that is there."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for size in SIZES:
        for what, seconds in _optuna("growth", str(size)).items():
            held = f"Optuna, {size:,} trials: {what}"
            if len(seconds) == 1:
                yield Figure(held, (seconds[0],), "s", note="a new process opens the study and asks once")
                continue
            yield from _spread(held, seconds)
            lines.setdefault(what, []).append((float(size), MS * quantile(seconds, 0.5)))
    yield Curve(
        "Optuna's answers",
        "trials in the study",
        "ms, p50",
        {what: tuple(points) for what, points in lines.items()},
        logarithmic=True,
    )


def _ray_growth() -> Iterator[Figure | Curve]:
    """What Ray Tune's trials wait for, as far as its study grows."""
    trials = [Trial(*each) for each in _ray(RAY_SLOTS, 2 * RAY_SIZES[-1], RAY_SECONDS)["trials"]]
    lines: dict[str, list[tuple[float, float]]] = {}
    for size in RAY_SIZES:
        seen = trials[max(size, RAY_WARM) :][:RAY_SEEN]
        if len(seen) < RAY_SEEN:
            yield Figure(
                "Ray Tune: trials", (float(len(trials)),), "trials", note=f"all in {RAY_SECONDS:.0f} s"
            )
            break
        for what, seconds in _waits(seen).items():
            yield from _spread(f"Ray Tune, {size:,} trials: {what}", seconds)
            lines.setdefault(what, []).append((float(size), MS * quantile(seconds, 0.5)))
    if lines:
        yield Curve(
            "Ray Tune's answers",
            "trials in the study",
            "ms, p50",
            {what: tuple(points) for what, points in lines.items()},
            logarithmic=True,
        )


def _spread(name: str, seconds: list[float]) -> Iterator[Figure]:
    """The median of times, and what one in a hundred is above."""
    for share in (50, 99):
        yield Figure(f"{name}, p{share}", (MS * quantile(seconds, share / 100),), "ms")


def _waits(trials: Sequence[Trial]) -> dict[str, list[float]]:
    """Seconds that reports took, and from the end of a trial to the beginning of its process's next."""
    nexts = [
        later.began - earlier.ended
        for process in {each.process for each in trials}
        for earlier, later in pairwise(each for each in trials if each.process == process)
    ]
    return {"report": [seconds for each in trials for seconds in each.reports], "next trial": nexts}


def _rate(completed: list[float]) -> float:
    return (len(completed) - 1) / (completed[-1] - completed[0])


def _optuna(*arguments: str) -> Any:
    with _folder() as folder:
        script = (str(python_of("optuna")), str(SYSTEMS / "optuna_no_ops.py"), *arguments)
        return _said(with_postgres(folder, *script))


def _ray(slots: int, trials: int, seconds: float) -> Any:
    with _folder() as folder:
        script = str(SYSTEMS / "ray_no_ops.py")
        words = (str(slots), str(trials), str(seconds), str(folder))
        return _said((str(python_of("ray")), script, *words))


def _said(command: Sequence[str]) -> Any:
    """The JSON in the last line that a command prints.

    Raises:
        RuntimeError: It failed; with the end of what it said.
    """
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        ending = "\n".join(ran.stderr.splitlines()[-20:])
        raise RuntimeError(f"{command[1]} exits {ran.returncode}:\n{ending}")
    return json.loads(ran.stdout.splitlines()[-1])


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="peers-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
