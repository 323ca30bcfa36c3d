"""The control planes of Optuna and Ray Tune: trials that train nothing, and how Optuna's answers grow with its study.

What Hippo does of the kind is the subject ``control``. The peers' trials report one value (Optuna) or ten (Ray Tune)
ten times. Ray Tune keeps a study in one process and is asked by nobody, so that only its rate is measured. Optuna's
studies are filled by SQL, with what its own trials leave there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.control.playing import quantile
from benchmarks.figures import Curve, Figure
from benchmarks.peers.environments import python_of
from benchmarks.peers.running import SYSTEMS, with_postgres

ROUNDS = 3
SECONDS = 8
RAY_TRIALS = 150
SIZES = (0, 10_000, 100_000)
MS = 1e3


def measure() -> Iterator[Figure | Curve]:
    """Rates first, in turn; then how Optuna's answers grow."""
    rates: dict[str, list[float]] = {"Optuna": [], "Ray Tune": []}
    for _ in range(ROUNDS):
        rates["Optuna"].append(_rate(_optuna("rate", str(SECONDS))))
        rates["Ray Tune"].append(_rate(_ray()))
    for name, values in rates.items():
        yield Figure(f"no-op trials, 2 slots, {name}", tuple(values), "trials/s", more_is_better=True)
    lines: dict[str, list[tuple[float, float]]] = {}
    for size in SIZES:
        for what, seconds in _optuna("growth", str(size)).items():
            held = f"Optuna, {size:,} trials: {what}"
            if len(seconds) == 1:
                yield Figure(held, (seconds[0],), "s", note="a new process opens the study and asks once")
                continue
            median, most = quantile(seconds, 0.5), quantile(seconds, 0.99)
            yield Figure(f"{held}, p50", (MS * median,), "ms")
            yield Figure(f"{held}, p99", (MS * most,), "ms")
            lines.setdefault(what, []).append((max(1, size), MS * median))
    yield Curve(
        "Optuna's answers",
        "trials in the study",
        "ms, p50",
        {what: tuple(points) for what, points in lines.items()},
        logarithmic=True,
    )


def _rate(completed: list[float]) -> float:
    return (len(completed) - 1) / (completed[-1] - completed[0])


def _optuna(*arguments: str) -> Any:
    with _folder() as folder:
        script = (str(python_of("optuna")), str(SYSTEMS / "optuna_no_ops.py"), *arguments)
        return _said(with_postgres(folder, *script))


def _ray() -> Any:
    with _folder() as folder:
        return _said((str(python_of("ray")), str(SYSTEMS / "ray_no_ops.py"), str(RAY_TRIALS), str(folder)))


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
